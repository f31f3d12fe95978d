"""Classes that a configuration names."""

import importlib
import inspect
from typing import TypeVar

from hma_ft.errors import UserError

T = TypeVar("T")


def import_class(setting: str, target: str, base: type[T]) -> type[T]:
    """Import the class `module.Class` that `setting` names, which must be derived from `base` and complete.

    Raises:
        UserError: no such module or class, one that can't be read, or one of another kind.
    """
    module_name, _, class_name = target.rpartition(".")
    if not module_name:
        raise UserError(f"{setting}={target} names no module: write module.Class")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise UserError(f"{setting}={target} can't be imported ({error}): name a class by module.Class") from error
    parent = f"{base.__module__}.{base.__name__}"
    if not (isinstance(found, type) and issubclass(found, base)):
        raise UserError(f"{setting}={target} is not a subclass of {parent}: derive it from that class")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
        raise UserError(f"{setting}={target} is abstract, it lacks {missing}: name a class that has them")
    return found
