"""The text of `run.py --help`. Hydra's own takes two seconds to list the groups."""

from pathlib import Path

_TEXT = """\
Fine-tune a Vision Transformer with memory augmentation (HMA) or one of its baselines.

  python run.py method=hma dataset=dtd
  python run.py -m method=head,hma_head dataset=dtd seed=0,1,2
  python run.py -m sweep=demo

Groups, chosen by group=name:

{groups}

Tasks, chosen by task=name:

  train (default)           evaluate run=DIR    predict run=DIR input=FOLDER    export run=DIR
  predict run=DIR input=FOLDER memory=FOLDER memory_remove=FILE (pictures added to the memory, samples taken out)
  prepare dataset=NAME      sync                status sweep=NAME               cancel sweep=NAME

Any setting is overridden by key=value. `python run.py --cfg job` shows all of them with their values; what each means
stands in hma_ft/config/schema.py. The same command again continues an unfinished run and reports a finished one.
`python run.py --hydra-help` explains the flags of Hydra itself.
"""

_MEANINGS = {
    "model": "the Vision Transformer; model.weights=FILE gives local weights",
    "method": "how it becomes a classifier; method.hma.* are the switches of the memory",
    "method/peft": "what trains inside a frozen backbone, with any head: method=hma_head method/peft=lora",
    "dataset": "the pictures; dataset.root=DIR says where they are",
    "optimizer": "",
    "scheduler": "learning rate over steps",
    "augment": "the training transform",
    "trainer": "steps, batch, precision, evaluation, checkpoints",
    "tracking": "MLflow beside the run directory",
    "experiment": "whole settings",
    "sweep": "whole sweeps, with -m",
}


def help_text(conf: Path, further_groups: dict[str, Path]) -> str:
    """Groups, their choices, tasks."""
    lines = []
    for group, meaning in _MEANINGS.items():
        choices = sorted(path.stem for path in further_groups.get(group, conf / group).glob("*.yaml"))
        lines.append(f"  {group:<13}{meaning}" if meaning else f"  {group}")
        lines.append(f"               {', '.join(choices)}")
    return _TEXT.format(groups="\n".join(lines))
