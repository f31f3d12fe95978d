"""Small backbones for these tests."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from hma_ft.backbone import Backbone, create_backbone
from hma_ft.config.schema import ModelConfig, TokensConfig, TokenType

MICRO = {"patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 4}


@pytest.fixture(autouse=True)
def _quick_and_seeded() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def micro() -> Callable[..., Backbone]:
    """micro(tokens="prop", number=3, image_size=32, **options): ViT of width 24 and depth 3 with random weights."""

    def make(
        tokens: str = "none", number: int = 3, image_size: int = 32, checkpointing: bool = False, **options: Any
    ) -> Backbone:
        config = ModelConfig(name="vit_tiny_patch16_224", pretrained=False, options=MICRO | options)
        return create_backbone(
            config,
            image_size=image_size,
            tokens=TokensConfig(TokenType(tokens), number),
            grad_checkpointing=checkpointing,
        )

    return make


@pytest.fixture
def images() -> torch.Tensor:
    """uint8 [4, 3, 32, 32]."""
    return torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
