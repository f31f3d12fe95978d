"""From the configuration to a backbone with weights."""

from pathlib import Path

from hma_ft.backbone.architecture import build
from hma_ft.backbone.backbone import Backbone
from hma_ft.backbone.hub import build_from_hub
from hma_ft.backbone.weights import load_weights
from hma_ft.config.schema import ModelConfig, PeftConfig, TokensConfig
from hma_ft.peft.create import adapt
from hma_ft.peft.memory_tokens import add_memory_tokens


def create_backbone(
    config: ModelConfig,
    *,
    image_size: int,
    tokens: TokensConfig,
    peft: PeftConfig | None = None,
    grad_checkpointing: bool = False,
    load: bool = True,
) -> Backbone:
    """Build the backbone for images of `image_size` x `image_size` pixels.

    Weights come from the file `config.weights`, else from the hub if `config.pretrained`, else they are random;
    without `load` they are random, whatever the configuration says.
    Every parameter trains until `Backbone.set_trainable` says otherwise.

    Raises:
        UserError: a model, weights, image size, tokens or PEFT that do not go together; one line says which.
    """
    if load and config.pretrained and not config.weights:
        vit = build_from_hub(config, image_size)
    else:
        vit = build(config, image_size, pretrained=False, num_classes=0)
    memory_tokens = add_memory_tokens(vit, tokens)  # before the weights: a file may hold them
    if load and config.weights:
        load_weights(vit, Path(config.weights))
    adapted = adapt(vit, peft or PeftConfig())  # after the weights, which may give initial values
    if grad_checkpointing:
        vit.set_grad_checkpointing()
    return Backbone(vit, image_size, normalise=config.normalise, tokens=memory_tokens, peft=adapted)
