"""A method as the command line would build it, with random weights."""

from pathlib import Path
from typing import NamedTuple

import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from hma_ft.config.frozen import typed
from hma_ft.config.register import register_schema
from hma_ft.config.schema import Config
from hma_ft.methods.base import Method
from hma_ft.methods.create import create_untrained

CONF = Path(__file__).resolve().parents[2] / "conf"
CLASSES = 47  # DTD's


class Built(NamedTuple):
    """A method and the configuration that it was built from."""

    method: Method
    config: Config


def build(*overrides: str, device: str = "meta") -> Built:
    """The method of a command line; on the meta device its weights take no memory."""
    register_schema()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = typed(compose("config", list(overrides)))
    with torch.device(device):
        return Built(create_untrained(config, CLASSES), config)


def choices(group: str) -> list[str]:
    """Sorted names of the YAML files of a group."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))
