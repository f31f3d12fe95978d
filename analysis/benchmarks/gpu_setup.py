"""One training step of a method on a GPU, without the bookkeeping of a run."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from analysis.benchmarks.released_head import ReleasedHead
from analysis.benchmarks.setting import CLASSES, sgd
from hma_ft.backbone.create import create_backbone
from hma_ft.config.schema import (
    BackboneTuning,
    HMAConfig,
    MethodConfig,
    ModelConfig,
    RealMemoryConfig,
    TokensConfig,
)
from hma_ft.methods.base import Method, MicroBatchOutput, Output
from hma_ft.methods.create import create_method
from hma_ft.methods.hma import HMA

LINEAR_TARGET, HMA_TARGET = "hma_ft.methods.linear.Linear", "hma_ft.methods.hma.HMA"
LIVE = HMAConfig(real=RealMemoryConfig(momentum=0.0))
METHODS = {
    "full": MethodConfig(target=LINEAR_TARGET, backbone=BackboneTuning.full),
    "head": MethodConfig(target=LINEAR_TARGET, backbone=BackboneTuning.frozen),
    "hma": MethodConfig(target=HMA_TARGET, backbone=BackboneTuning.full),
    "hma without momentum encoder": MethodConfig(target=HMA_TARGET, backbone=BackboneTuning.full, hma=LIVE),
    "hma_head": MethodConfig(target=HMA_TARGET, backbone=BackboneTuning.frozen),
}


class Sizes(NamedTuple):
    """What is measured, in full or to try the script out."""

    models: tuple[str, ...]
    input_models: tuple[str, ...]
    side: int
    batch: int
    repeats: int
    steps: int  # per repeat


FULL = Sizes(
    ("vit_base_patch32_224", "vit_base_patch16_224"), ("vit_base_patch32_224", "deit_tiny_patch16_224"), 224, 128, 5, 10
)
QUICK = Sizes(("vit_tiny_patch16_224",), ("vit_tiny_patch16_224",), 32, 8, 2, 1)


class Setup:
    """A method on the device with an optimizer: one training step of the run's loop, without its bookkeeping."""

    def __init__(self, model: str, method: str, sizes: Sizes, *, compile: bool, per_sample: bool) -> None:
        torch.manual_seed(0)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        config = ModelConfig(name=model, pretrained=False, image_size=sizes.side)
        backbone = create_backbone(config, image_size=sizes.side, tokens=TokensConfig())
        built = create_method(METHODS[method], backbone, CLASSES, soft_labels=False)
        self.method: Method = built.to(self.device).train()
        self.released = ReleasedHead(built.head) if per_sample and isinstance(built, HMA) else None
        if compile:
            self.method.backbone.compile()
        self.optimizer = sgd(self.method)

    def step(self, images: Tensor, labels: Tensor, ids: Tensor) -> None:
        """Forward, backward, the memory's write, the optimizer."""
        with torch.autocast(self.device.type, torch.bfloat16):
            features = self.method.features(images)
            logits = self.method.classify(features, ids) if self.released is None else self.released(features)
            loss = functional.cross_entropy(logits, labels)
        loss.backward()
        with torch.autocast(self.device.type, torch.bfloat16), torch.no_grad():
            self.method.after_backward([MicroBatchOutput(images, Output(logits, features), labels, ids)])
        self.optimizer.step()
        self.optimizer.zero_grad()


def random_batch(sizes: Sizes, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Images, labels and ids on the device."""
    images = torch.randint(256, (sizes.batch, 3, sizes.side, sizes.side), dtype=torch.uint8)
    labels, ids = torch.randint(CLASSES, (sizes.batch,)), torch.arange(sizes.batch)
    return images.to(device), labels.to(device), ids.to(device)
