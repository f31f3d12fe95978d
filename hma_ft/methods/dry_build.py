"""Whether a model and a method go together, asked before data, weights or tracking are touched."""

import torch

from hma_ft.backbone.create import create_backbone
from hma_ft.config.schema import Config
from hma_ft.errors import UserError
from hma_ft.methods.create import create_method

ANY_CLASSES = 2  # the data set, which knows their number, isn't read yet


def model_problems(config: Config) -> list[str]:
    """Why backbone and method can't be built, in one line; empty if they can.

    What only timm knows (names, widths, patch sizes) is found by building both without memory for their weights.
    """
    try:
        with torch.device("meta"):
            backbone = create_backbone(
                config.model,
                image_size=config.augment.image_size,
                tokens=config.method.tokens,
                peft=config.method.peft,
                load=False,
            )
            create_method(config.method, backbone, ANY_CLASSES, soft_labels=False)
    except UserError as error:
        return [str(error)]
    return []
