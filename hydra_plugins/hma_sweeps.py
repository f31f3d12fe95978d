"""Makes the files of sweeps/ selectable as `sweep=NAME`, from any working directory."""

from pathlib import Path

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin

SWEEPS = Path(__file__).resolve().parent.parent / "sweeps"
GROUP = "sweep"


class SweepFiles(FileConfigSource):
    """A folder whose files are the options of one group, where a file source takes groups to be folders."""

    @staticmethod
    def scheme() -> str:
        """Of the search path's entry."""
        return "sweeps"

    def load_config(self, config_path: str) -> ConfigResult:
        """`sweep/demo` is demo.yaml."""
        return super().load_config(_inside(config_path))

    def is_group(self, config_path: str) -> bool:
        """There is the one group, and the root that holds it."""
        return config_path in ("", GROUP)

    def is_config(self, config_path: str) -> bool:
        """Whether the group has that option."""
        return config_path.startswith(f"{GROUP}/") and super().is_config(_inside(config_path))

    def available(self) -> bool:
        """Whether the folder is there."""
        return super().is_group("")

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Options of the group, or the group."""
        if config_path == GROUP and results_filter in (None, ObjectType.CONFIG):
            return sorted(path.stem for path in SWEEPS.glob("*.yaml"))
        return [GROUP] if config_path == "" and results_filter in (None, ObjectType.GROUP) else []


def _inside(config_path: str) -> str:
    return config_path.removeprefix(f"{GROUP}/")


class SweepsSearchPath(SearchPathPlugin):
    """Adds sweeps/ to where Hydra looks."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called once, when the command line is composed."""
        search_path.append(provider="hma", path=f"{SweepFiles.scheme()}://{SWEEPS}")
