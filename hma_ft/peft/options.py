"""Options of a method, typed by the signature of its function, and the checks that they share."""

import inspect
from collections.abc import Callable
from dataclasses import make_dataclass
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hma_ft.config.schema import PeftConfig
from hma_ft.errors import UserError


def typed_options(function: Callable[..., Any], config: PeftConfig) -> dict[str, Any]:
    """`config.options` as keyword arguments of `function`, converted to the types of its signature.

    Raises:
        UserError: an option that the function does not take, one that it lacks, or a value of another type.
    """
    parameters = inspect.signature(function).parameters.values()
    types = {p.name: p.annotation for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    for name in config.options:
        if name not in types:
            known = ", ".join(types) or "none"
            raise UserError(f"method.peft.options.{name}: unknown option of {config.name}; its options: {known}")
    for name in types:
        if name not in config.options:
            raise UserError(f"method.peft.options.{name}: {config.name} needs a value")
    schema = OmegaConf.structured(make_dataclass("Options", types.items()))
    for name, value in config.options.items():
        try:
            schema[name] = value
        except OmegaConfBaseException as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"method.peft.options.{name}={value}: {reason}") from error
    return {name: _plain(schema[name]) for name in types}


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def require_positive(**values: float) -> None:
    """Raise a UserError for the first option that is not greater than 0."""
    for name, value in values.items():
        if not value > 0:
            raise UserError(f"method.peft.options.{name}={value:g} must be greater than 0")


def require_rate(**values: float) -> None:
    """Raise a UserError for the first option that is no probability of dropping something: 0 or more, less than 1."""
    for name, value in values.items():
        if not 0 <= value < 1:
            raise UserError(f"method.peft.options.{name}={value:g} must be at least 0 and less than 1")
