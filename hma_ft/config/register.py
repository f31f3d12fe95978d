"""What Hydra must know before it composes: the typed schema and the resolvers that conf/ and sweeps/ use."""

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from hma_ft.config.paths import user_path
from hma_ft.config.schema import Config


def register_schema() -> None:
    """Make `schema` a node that conf/config.yaml starts from, and the resolvers known.

    `${smaller:a,b}`, `${times:a,b}`, and `${user_path:p}`, in which `~` is the home directory.
    """
    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("smaller", min, replace=True)
    OmegaConf.register_new_resolver("times", _product, replace=True)
    OmegaConf.register_new_resolver("user_path", user_path, replace=True)


def _product(a: float, b: float) -> float:
    """Without the last digits of binary arithmetic, which would be in fingerprints: 0.1 times 0.003 is 0.0003."""
    return float(f"{a * b:.12g}")
