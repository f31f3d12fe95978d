"""From the configuration to what trains inside a frozen backbone."""

import importlib

from hma_ft.config.schema import PeftConfig
from hma_ft.errors import UserError
from hma_ft.peft.adapted import Adapted, TimmViT, UnsupportedModel
from hma_ft.peft.drop_path import add_drop_path
from hma_ft.peft.options import typed_options


def adapt(vit: TimmViT, config: PeftConfig) -> Adapted:
    """Change `vit`, which holds its weights, in place as `config` says.

    What is drawn at random comes from torch's global generator.

    Raises:
        UserError: a target that is no such function, options or a model that do not go with it; one line says which.
    """
    dropped = add_drop_path(vit, config.drop_path)  # first: it replaces modules that a method may hook
    if config.target is None:
        if config.options:
            raise UserError(f"method.peft.options={config.options}: method.peft.name={config.name} takes no options")
        return Adapted(modules=dropped)
    module_name, _, function_name = config.target.rpartition(".")
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"method.peft.target={config.target} can't be imported ({error}): name a function by module.function"
        ) from error
    if not callable(function):
        raise UserError(f"method.peft.target={config.target} is not a function that adapts a timm model")
    options = typed_options(function, config)
    try:
        adapted: Adapted = function(vit, **options)
    except UnsupportedModel as error:
        raise UserError(f"method.peft.name={config.name}: {error}") from error
    return adapted._replace(modules=(*adapted.modules, *dropped))
