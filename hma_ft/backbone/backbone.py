"""A Vision Transformer as a feature extractor: uint8 images in, one vector an image out."""

from typing import Self

import torch
from timm.data import resolve_model_data_config
from timm.layers import DropPath
from timm.models import group_parameters
from torch import Tensor, nn

from hma_ft.backbone.architecture import TimmViT
from hma_ft.config.schema import BackboneTuning
from hma_ft.errors import UserError
from hma_ft.peft.adapted import NOTHING_ADDED, Adapted, UnsupportedModel
from hma_ft.peft.class_token import train_class_token
from hma_ft.peft.insertion import is_inserted_token

PREFIX = "vit."  # of the names of timm's parameters among those of a Backbone


class Backbone(nn.Module):
    """A timm Vision Transformer without its classifier, and how images are prepared for it.

    Attributes:
        vit: the timm model.
        width: size D of a feature.
        depth: number of transformer blocks.
        image_size: height and width S of an image in pixels.
        mean, std: [1, 3, 1, 1], for images scaled to 0..1; the model's own unless `normalise` says otherwise.
        interpolation: the filter that resized the images of its pretraining ("bicubic", ...).
        crop_ratio: its evaluation crop over the resized short side.
        tokens, peft: memory tokens, and what else was added to `vit` to train inside it while the rest is frozen.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        vit: TimmViT,
        image_size: int,
        *,
        normalise: bool = True,
        tokens: Adapted = NOTHING_ADDED,
        peft: Adapted = NOTHING_ADDED,
    ) -> None:
        """`normalise=False` leaves images in 0..1: mean 0, std 1."""
        super().__init__()
        preparation = resolve_model_data_config(vit)
        if not normalise:
            preparation |= {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
        self.vit: TimmViT = vit
        self.tokens, self.peft = tokens, peft
        self.image_size = image_size
        self.width: int = vit.head_hidden_size
        self.depth = len(vit.blocks)
        self.interpolation: str = preparation["interpolation"]
        self.crop_ratio: float = preparation["crop_pct"]
        # Not persistent: they come from the model's name, not from a checkpoint.
        self.register_buffer("mean", torch.tensor(preparation["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preparation["std"]).view(1, 3, 1, 1), persistent=False)
        self.frozen = False
        self.is_compiled = False
        self._layers: dict[str, int] = group_parameters(vit, vit.group_matcher(coarse=False), reverse=True)

    def forward(self, images: Tensor) -> Tensor:
        """Pre-logits features [B, D] of images [B, 3, S, S].

        uint8 images are scaled to 0..1 and normalised here, on their device; floating-point images are taken as
        normalised. Where nothing trains no graph is built.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.trains):
            sequence = self.vit.forward_features(self.normalise(images))
            return self.vit.forward_head(sequence, pre_logits=True)

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 images [B, 3, S, S] in the model's own scale; floating-point ones as they are."""
        if images.dtype != torch.uint8:
            return images
        return (images.to(self.mean.dtype) / 255 - self.mean) / self.std

    @property
    def mean_colour(self) -> tuple[int, int, int]:
        """The mean in 0..255: what random erasing, maps of the image and padding fill with."""
        red, green, blue = (round(255 * value) for value in self.mean.flatten().tolist())
        return red, green, blue

    @property
    def trains(self) -> bool:
        """Whether any parameter takes a gradient."""
        return any(parameter.requires_grad for parameter in self.parameters())

    def set_trainable(self, mode: BackboneTuning, class_token: bool) -> None:
        """Choose the parameters that train: all, or `tokens`, `peft` and, if asked for, the class token.

        Raises:
            UserError: `class_token` with a frozen model that has none.
        """
        self.frozen = mode is BackboneTuning.frozen
        chosen = self.tokens.trainable | self.peft.trainable
        if self.frozen and class_token:
            try:
                chosen |= train_class_token(self.vit).trainable
            except UnsupportedModel as error:
                raise UserError(f"method.class_token=true: {error}; set method.class_token=false.") from error
        for name, parameter in self.vit.named_parameters():
            parameter.requires_grad_(not self.frozen or name in chosen)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Train or eval mode; a frozen backbone stays in eval mode (no dropout or drop path) but for what was added."""
        super().train(mode and not self.frozen)
        for module in (*self.tokens.modules, *self.peft.modules):
            module.train(mode)
        return self

    def compile_blocks(self) -> None:
        """Compile every transformer block by itself, in place: equal blocks share a graph, and names stay.

        Drop path stays outside the graphs: its rate is another one in every block.
        """
        for block in self.vit.blocks:
            for module in block.modules():
                if isinstance(module, DropPath):
                    module.forward = torch.compiler.disable(module.forward)  # type: ignore[method-assign]
            block.compile()
        self.is_compiled = True

    def merge(self) -> None:
        """Fold what was added into timm's own weights, in place, where that is possible; before prediction only."""
        if self.peft.merge is not None:
            self.peft.merge()
            self.peft = NOTHING_ADDED

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that timm exempts from weight decay (embeddings and tokens), and of inserted tokens."""
        exempt = self.vit.no_weight_decay()
        return {PREFIX + name for name in self._layers if name in exempt or is_inserted_token(name)}

    def layer_of(self, parameter_name: str) -> int:
        """Layer of a parameter of this module, for layer-wise learning-rate decay, as timm counts them.

        0 is the embedding (patches, positions, class token), 1 to depth are the blocks with their memory tokens
        (the final norm goes with the last block), depth + 1 is what comes after pooling.
        """
        return self._layers[parameter_name.removeprefix(PREFIX)]
