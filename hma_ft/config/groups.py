"""The groups of conf/: what each is for, and which choices it has, those in folders of a group included."""

from pathlib import Path

# In the order of --help. A group within another (`method/peft`) has its own entry.
MEANINGS = {
    "model": "the Vision Transformer",
    "method": "what trains, and the head",
    "method/peft": "what trains inside a frozen backbone, with any head",
    "dataset": "the images",
    "optimizer": "what updates the weights",
    "scheduler": "learning rate over steps",
    "augment": "the training transform",
    "trainer": "steps, batch size, precision, evaluation, checkpoints",
    "tracking": "MLflow, beside the run directory",
    "experiment": "several of the above at once",
    "debug": "one step, one batch, a profile",
    "sweep": "whole sweeps, with -m (files of sweeps/)",
}
OPTIONAL = ("experiment", "debug", "sweep")  # null is a choice of these
SEVERAL = ("experiment",)  # these take a list of choices, which are merged in its order


class Groups:
    """The groups, by the folders that hold their files."""

    def __init__(self, conf: Path, more: str | None = None) -> None:
        """`more`: a folder like conf/, of --config-dir."""
        self.conf = conf
        self._more = more

    def __contains__(self, name: str) -> bool:
        return bool(name) and any(folder.is_dir() for folder in self._folders(name))

    def names(self) -> list[str]:
        """All groups that --help shows."""
        return list(MEANINGS)

    def choices(self, name: str) -> list[str]:
        """Sorted names of the group's choices, such as `ablation/bank`."""
        inner = [group for group in MEANINGS if group.startswith(f"{name}/")]
        found = set()
        for folder in self._folders(name):
            for file in folder.rglob("*.yaml"):
                choice = file.relative_to(folder).with_suffix("").as_posix()
                if not any(f"{name}/{choice}".startswith(f"{group}/") for group in inner):
                    found.add(choice)
        return sorted(found)

    def text(self, name: str, choice: str) -> str:
        """The file of a choice."""
        files = [folder / f"{choice}.yaml" for folder in self._folders(name)]
        return next(file.read_text(errors="replace") for file in files if file.is_file())

    def _folders(self, name: str) -> list[Path]:
        return [self.conf / name] if self._more is None else [self.conf / name, Path(self._more) / name]
