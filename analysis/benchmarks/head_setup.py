"""The setting that all measurements of the head share: ViT-B features, DTD, the released memory sizes."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Optimizer

from hma_ft.config.schema import HMAConfig, RealMemoryConfig, SyntheticMemoryConfig
from hma_ft.hma import HMAHead

FEATURE_WIDTH, CLASSES, SLOTS, BATCH = 768, 47, 16, 128


def filled_head(
    rows: int, *, width: int = FEATURE_WIDTH, classes: int = CLASSES, slots: int = SLOTS, dropout: float = 0.1
) -> HMAHead:
    """A head in training whose real memory of `rows` rows is full."""
    torch.manual_seed(0)
    config = HMAConfig(dropout=dropout, real=RealMemoryConfig(size=rows), synthetic=SyntheticMemoryConfig(slots=slots))
    head = HMAHead(width, classes, config)
    head.write(torch.randn(rows, width), torch.randint(classes, (rows,)), torch.arange(rows))
    return head.train()


def batch(size: int, *, width: int = FEATURE_WIDTH, classes: int = CLASSES) -> tuple[Tensor, Tensor, Tensor]:
    """Features, labels and ids of images that the memory does not hold."""
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(size, width, generator=generator)
    return features, torch.randint(classes, (size,), generator=generator), torch.arange(size) + 10**6


def gradient_step(head: nn.Module, features: Tensor, labels: Tensor, *ids: Tensor) -> None:
    """Forward and backward."""
    head.zero_grad()
    functional.cross_entropy(head(features, *ids), labels).backward()


def training_step(
    head: nn.Module, features: Tensor, labels: Tensor, ids: Tensor, optimizer: Optimizer
) -> Callable[[], None]:
    """Forward, backward, the memory's write, the optimizer: all that a step does after the backbone."""

    def step() -> None:
        logits = head(features, ids) if isinstance(head, HMAHead) else head(features)
        functional.cross_entropy(logits, labels).backward()
        if isinstance(head, HMAHead):
            head.write(features, labels, ids)
        optimizer.step()
        optimizer.zero_grad()

    return step


def sgd(module: nn.Module) -> Optimizer:
    """The released optimizer."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return SGD(trained, lr=1e-4, momentum=0.9)
