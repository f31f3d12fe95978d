"""Shell completion of choices in folders: Hydra loads `sweep=study/dtd` from conf/, but its listing has no folders."""

import sys
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin

from hma_ft.config.groups import MEANINGS, Groups

CONF = Path(__file__).resolve().parent.parent / "conf"


class ChoicesInFolders(ConfigSource):
    """Lists `ablation/bank` among the options of `experiment`; nothing is loaded from here."""

    @staticmethod
    def scheme() -> str:
        """Scheme of the search path's entry."""
        return "folders"

    def load_config(self, config_path: str) -> ConfigResult:
        """Refuse."""
        raise ConfigLoadError(f"{config_path} is loaded from a file")

    def available(self) -> bool:
        """Whether conf/ is there."""
        return CONF.is_dir()

    def is_group(self, config_path: str) -> bool:
        """Whether it is a group of conf/."""
        return config_path in MEANINGS

    def is_config(self, config_path: str) -> bool:
        """False: Hydra is to look elsewhere."""
        return False

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """All options of the group."""
        return Groups(CONF).choices(config_path) if results_filter in (None, ObjectType.CONFIG) else []


class CompletionSearchPath(SearchPathPlugin):
    """Adds the listing to where Hydra looks, when a shell asks for completion."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called once, when the command line is composed."""
        if {"--shell-completion", "-sc"} & set(sys.argv):
            search_path.append(provider="hma", path=f"{ChoicesInFolders.scheme()}://{CONF}")
