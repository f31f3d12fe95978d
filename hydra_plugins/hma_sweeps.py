"""Makes the files of sweeps/ selectable as `sweep=NAME`, and choices in folders of a group known to completion."""

from pathlib import Path

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin

from hma_ft.config.groups import MEANINGS, Groups

REPOSITORY = Path(__file__).resolve().parent.parent
CONF, SWEEPS = REPOSITORY / "conf", REPOSITORY / "sweeps"
GROUP = "sweep"
_groups = Groups(CONF, {GROUP: SWEEPS})


class SweepFiles(FileConfigSource):
    """A folder whose files are the options of one group, where a file source takes groups to be folders."""

    @staticmethod
    def scheme() -> str:
        """Scheme of the search path's entry."""
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
            return _groups.choices(GROUP)
        return [GROUP] if config_path == "" and results_filter in (None, ObjectType.GROUP) else []


class ChoicesInFolders(FileConfigSource):
    """Lists `ablation/bank` among the options of `experiment`; Hydra loads it from conf/ but lists no folders."""

    @staticmethod
    def scheme() -> str:
        """Scheme of the search path's entry."""
        return "folders"

    def is_group(self, config_path: str) -> bool:
        """Whether it is a group of conf/."""
        return config_path in MEANINGS

    def is_config(self, config_path: str) -> bool:
        """Nothing is loaded from here."""
        return False

    def available(self) -> bool:
        """Whether conf/ is there."""
        return CONF.is_dir()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """All options of the group."""
        return _groups.choices(config_path) if results_filter in (None, ObjectType.CONFIG) else []


def _inside(config_path: str) -> str:
    return config_path.removeprefix(f"{GROUP}/")


class SweepsSearchPath(SearchPathPlugin):
    """Adds both to where Hydra looks."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called once, when the command line is composed."""
        search_path.append(provider="hma", path=f"{SweepFiles.scheme()}://{SWEEPS}")
        search_path.append(provider="hma", path=f"{ChoicesInFolders.scheme()}://{CONF}")
