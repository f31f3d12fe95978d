"""From Hydra's composed configuration to typed dataclasses, and to a file and back."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError

from hma_ft.config.aliases import with_current_names
from hma_ft.config.paths import expand_paths
from hma_ft.config.schema import Config
from hma_ft.errors import UserError
from hma_ft.files.yaml_file import read_yaml


def typed(cfg: DictConfig | dict[str, Any]) -> Config:
    """The dataclasses of a composed configuration, interpolations resolved, `~` in paths replaced.

    Raises:
        UserError: values that are marked as missing (`???`), all of them.
    """
    values = OmegaConf.to_container(cfg) if isinstance(cfg, DictConfig) else cfg
    missing = sorted(_missing(values))
    if missing:  # merging would put the schema's default in their place
        raise UserError("\n".join(f"{key} has no value (???): add {key}=VALUE" for key in missing))
    plain = OmegaConf.create(values)  # without the types that would let `+key=value` pass
    config = OmegaConf.to_object(OmegaConf.merge(_schema(), plain))
    assert isinstance(config, Config)
    expand_paths(config)
    return config


def without_hydra(composed: DictConfig) -> dict[str, Any]:
    """The settings of a composed configuration, interpolations as they are, without the part that is Hydra's own."""
    values = OmegaConf.to_container(composed)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items() if key != "hydra"}


@cache
def _schema() -> DictConfig:
    """The schema as OmegaConf sees it; merging copies it. Made once: it is most of the cost of a configuration."""
    return OmegaConf.structured(Config)


def _missing(values: object, prefix: str = "") -> Iterator[str]:
    """Dotted keys of the values `???`."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _missing(value, f"{prefix}.{key}" if prefix else str(key))
    elif values == MISSING:
        yield prefix


def save_config(config: Config, path: Path) -> None:
    """Write the resolved configuration as YAML that `load_config` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(OmegaConf.to_yaml(OmegaConf.structured(config)))


def load_config(path: Path) -> Config:
    """A configuration frozen by `save_config` or found in a run directory, of any age; nothing of conf/ is read."""
    try:
        values = read_yaml(path)
        if not isinstance(values, dict):
            raise ValueError("settings by name are expected")
        return typed(with_current_names(values))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: is {path.parent} a run directory?") from error
    except ConfigKeyError as error:
        raise UserError(
            f"{path} has a setting that this version doesn't know ({str(error).splitlines()[0]}): read it with the "
            "version that wrote it, or a later one"
        ) from error
    except Exception as error:  # OmegaConf raises half a dozen kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} can't be read as a configuration ({reason}): restore it from a backup") from error


def run_directory(config: Config) -> Path:
    """Where the run lies: `<runs_dir>/<dataset>/<method>-<model>-seed<k>-<fingerprint>`."""
    from hma_ft.config.fingerprint import fingerprint

    name = f"{config.method.name}-{config.model.short_name}-seed{config.seed}-{fingerprint(config)[:8]}"
    return Path(config.runs_dir) / config.dataset.name / name
