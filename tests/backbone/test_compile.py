"""Compiled blocks: one graph for all that are equal, and the same numbers."""

from functools import partial

import pytest
import torch
from accelerate import Accelerator
from torch._dynamo.utils import counters

from hma_ft.backbone.create import create_backbone
from hma_ft.config.schema import BackboneTuning, DatasetConfig, HMAConfig, ModelConfig, RealMemoryConfig, TokensConfig
from hma_ft.data.splits import load_splits
from hma_ft.data.transforms import EvalTransform
from hma_ft.engine.evaluate import Evaluator
from hma_ft.hma import HMAHead
from tests.methods.conftest import build

__all__ = ["build"]  # a fixture

SMALL = {"patch_size": 8, "embed_dim": 16, "depth": 12, "num_heads": 2}


@pytest.fixture(autouse=True)
def without_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are made and run as they are; a compiler would only translate them."""
    torch._dynamo.reset()
    counters.clear()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))


@pytest.mark.parametrize(("drop_path", "graphs"), [(0.0, 2), (0.3, 8)])
def test_twelve_blocks_share_their_graphs(drop_path: float, graphs: int) -> None:
    """One for training and one for evaluation; drop path cuts each in three, and the first block has none."""
    model = ModelConfig(name="vit_tiny_patch16_224", pretrained=False, drop_path_rate=drop_path, options=SMALL)
    backbone = create_backbone(model, image_size=16, tokens=TokensConfig())
    backbone.set_trainable(BackboneTuning.full, False)
    images = torch.randint(256, (4, 3, 16, 16), dtype=torch.uint8)
    expected = backbone.eval()(images).detach()
    names = set(backbone.state_dict())
    backbone.compile_blocks()
    for _ in range(2):
        backbone.train()(images).sum().backward()
        with torch.no_grad():
            found = backbone.eval()(images)
    torch.testing.assert_close(found, expected)
    assert counters["stats"]["unique_graphs"] == graphs
    assert set(backbone.state_dict()) == names


def test_a_step_of_the_memory_head_is_one_graph() -> None:
    torch.manual_seed(0)
    head = HMAHead(32, 5, HMAConfig(dropout=0.0, label_width=16, real=RealMemoryConfig(size=32))).train()
    head.write(torch.randn(20, 32), torch.randint(5, (20,)), torch.arange(20))
    features, ids = torch.randn(8, 32, requires_grad=True), torch.arange(8)
    expected = head(features, ids)
    (gradient,) = torch.autograd.grad(expected.sum(), features)
    head.compile_training()
    found = head(features, ids)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found.sum(), features)[0], gradient)
    for number in range(3):  # the memory fills up and turns over: no reason for another graph
        head.write(torch.randn(8, 32), torch.randint(5, (8,)), torch.arange(8) + 100 * number)
        head(features, ids)
    assert counters["stats"]["unique_graphs"] == 1 and not counters["graph_break"]


def test_a_smaller_last_batch_of_an_evaluation_takes_no_graph_of_its_own(build: object) -> None:
    """450 test images in batches of 64: the last has two."""
    splits = load_splits(DatasetConfig(name="digits", target="hma_ft.data.datasets.digits.Digits"))
    method = build("head")
    transform = EvalTransform(16, crop_ratio=1.0, interpolation="bicubic")
    settings = {"batch_size": 64, "num_workers": 0, "seed": 0}
    plain = Evaluator(method, Accelerator(cpu=True), {"test": splits.test}, transform, **settings).features("test")
    method.backbone.compile_blocks()
    found = Evaluator(method, Accelerator(cpu=True), {"test": splits.test}, transform, **settings).features("test")
    torch.testing.assert_close(found.features, plain.features)
    assert torch.equal(found.ids, plain.ids) and torch.equal(found.labels, plain.labels)
    assert counters["stats"]["unique_graphs"] == 1
