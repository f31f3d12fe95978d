"""Methods as conf/method describes them, on a tiny backbone."""

from collections.abc import Callable

import pytest
import torch

from hma_ft.backbone import create_backbone
from hma_ft.config.schema import Config
from hma_ft.methods.base import Method
from hma_ft.methods.create import create_method
from tests.config.test_compose import composed

NO_CLASSES = torch.empty(0, dtype=torch.int64)
CLASSES = 10
Build = Callable[..., Method]


@pytest.fixture
def build() -> Build:
    """`build("head", "method.hma.heads=2", ...)` is the method of that file."""

    def built(name: str, *overrides: str, soft_labels: bool = False) -> Method:
        config: Config = composed(f"method={name}", "model=vit_micro", *overrides)
        torch.manual_seed(0)
        backbone = create_backbone(config.model, image_size=16, tokens=config.method.tokens, peft=config.method.peft)
        return create_method(config.method, backbone, CLASSES, soft_labels=soft_labels)

    return built


@pytest.fixture
def images() -> torch.Tensor:
    """uint8 [6, 3, 16, 16]."""
    return torch.randint(256, (6, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
