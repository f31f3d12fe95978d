"""What Hydra must know before it composes: the typed schema and the one resolver that conf/ uses."""

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from hma_ft.config.schema import Config


def register_schema() -> None:
    """Make `schema` a node that conf/config.yaml starts from, and `${smaller:a,b}` known."""
    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("smaller", min, replace=True)
