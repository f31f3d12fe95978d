"""What trains, what is frozen and what is counted, for every method."""

import pydoc
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from hma_ft.config.schema import OptimizerConfig
from hma_ft.engine.optimizer import create_optimizer
from hma_ft.methods.base import Method, Observation
from tests.methods.conftest import CLASSES, Build

FILES = sorted((Path(__file__).parents[2] / "conf/method").glob("*.yaml"))
NAMES = [path.stem for path in FILES]
TRAINED = [path.stem for path in FILES if not pydoc.locate(yaml.safe_load(path.read_text())["target"]).fits]
FULL = {"full", "hma"}
# Parameters of the backbone that train where the rest of it is frozen.
CHOSEN = {
    "head_cls": {"vit.cls_token"},
    "hma_head_cls": {"vit.cls_token"},
    "tokens_prop": {"vit.cls_token", "vit.blocks.0.added_mem"},
    "tokens_standard": {"vit.cls_token", *(f"vit.blocks.{i}.added_mem" for i in range(4))},
}


def one_step(method: Method, images: Tensor) -> None:
    """Forward, backward and what the memories do, without an optimizer."""
    labels, ids = torch.arange(len(images)) % CLASSES, torch.arange(len(images))
    method.train()
    output = method(images, ids)
    method.loss(output, labels).backward()
    method.observe([Observation(images, output, labels, ids)])


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_file_that_names_it(name: str, build: Build, images: Tensor) -> None:
    method = build(name).eval()
    if not method.learns_by_steps:
        return
    output = method(images)
    assert output.logits.shape == (6, CLASSES)
    assert output.features.shape == (6, 96)


@pytest.mark.parametrize("name", TRAINED)
def test_exactly_what_should_train_gets_a_gradient(name: str, build: Build, images: Tensor) -> None:
    method = build(name)
    one_step(method, images)
    with_gradient = {n for n, p in method.backbone.named_parameters() if p.grad is not None}
    everything = {n for n, _ in method.backbone.named_parameters()}
    assert with_gradient == (everything if name in FULL else CHOSEN.get(name, set()))
    in_optimizer = {
        id(p) for group in create_optimizer(method, OptimizerConfig()).param_groups for p in group["params"]
    }
    expected = {id(p) for n, p in method.named_parameters() if p.grad is not None}
    assert in_optimizer == expected
    assert not any(n.startswith("momentum_encoder") and p.requires_grad for n, p in method.named_parameters())


@pytest.mark.parametrize("name", sorted(set(TRAINED) - FULL))
def test_a_frozen_backbone_stays_in_evaluation_mode(name: str, build: Build, images: Tensor) -> None:
    method = build(name)
    method.train()
    assert not method.backbone.vit.training
    assert method.head.training
    if name not in CHOSEN:
        assert not method(images).features.requires_grad


@pytest.mark.parametrize("name", TRAINED)
def test_counts_are_of_the_model_that_predicts(name: str, build: Build) -> None:
    method = build(name)
    trainable, total = method.parameter_counts()
    backbone = sum(p.numel() for p in method.backbone.parameters())
    head = sum(p.numel() for p in method.head.parameters())
    assert total == backbone + head
    chosen = sum(p.numel() for n, p in method.backbone.named_parameters() if n in CHOSEN.get(name, set()))
    assert trainable == head + (backbone if name in FULL else chosen)
    assert not any("vit.head." in n for n, _ in method.named_parameters())  # the old classifier


@pytest.mark.parametrize("name", ["full", "head", "head_cls"])
def test_linear_methods_are_timms_features_and_one_layer(name: str, build: Build, images: Tensor) -> None:
    method = build(name).eval()
    vit = method.backbone.vit
    mean, std = method.backbone.mean, method.backbone.std
    features = vit.forward_head(vit.forward_features((images / 255 - mean) / std), pre_logits=True)
    expected = features @ method.head.weight.T + method.head.bias
    torch.testing.assert_close(method(images).logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", [[], ["method.hma.synthetic.slots=4"], ["method.hma.label_width=32"]])
def test_the_mlp_head_has_the_parameters_of_the_hma_head(build: Build, options: list[str]) -> None:
    mlp, _ = build("mlp_head", *options).parameter_counts()
    hma, _ = build("hma_head", *options).parameter_counts()
    assert abs(mlp - hma) / hma < 0.001


def test_memory_tokens_go_with_the_memory(build: Build, images: Tensor) -> None:
    method = build("hma_head", "method.tokens.type=standard", "method.tokens.number=3", "method.class_token=true")
    one_step(method, images)
    with_gradient = {n for n, p in method.backbone.named_parameters() if p.grad is not None}
    assert with_gradient == {"vit.cls_token", *(f"vit.blocks.{i}.added_mem" for i in range(4))}
    assert method.backbone.vit.blocks[0].added_mem.shape == (1, 3, 96)
