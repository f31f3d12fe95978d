"""Options that a data set alone has, `dataset.options`, typed by a dataclass."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hma_ft.errors import UserError

T = TypeVar("T")


def typed_options(kind: type[T], options: Mapping[str, Any]) -> T:
    """The options as an instance of the dataclass `kind`; those that an older configuration lacks at their defaults.

    Raises:
        UserError: unknown options, or values of another type; a line for each.
    """
    schema, problems = OmegaConf.structured(kind), []
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # a dataclass, which no type says
    for name, value in options.items():
        if name not in known:
            problems.append(f"unknown option dataset.options.{name}: there are {', '.join(known)}")
            continue
        try:
            schema[name] = value
        except OmegaConfBaseException as error:
            problems.append(f"dataset.options.{name}={value}: {str(error).splitlines()[0]}")
    if problems:
        raise UserError("\n".join(problems))
    return OmegaConf.to_object(schema)  # type: ignore[return-value]  # an instance of `kind`
