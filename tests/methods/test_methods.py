"""What trains, what is frozen and what is counted, for every method."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from hma_ft.config.schema import OptimizerConfig
from hma_ft.engine.optimizer import create_optimizer
from hma_ft.errors import UserError
from hma_ft.methods.base import Method, MicroBatchOutput
from tests.methods.conftest import CLASSES, Build
from tests.methods.test_knn import clusters

FOLDER = Path(__file__).parents[2] / "conf/method"
FILES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
NAMES = list(FILES)
TRAINED = [name for name, file in FILES.items() if "training" in file.get("reads", ["training"])]
FITTED = sorted(set(NAMES) - set(TRAINED))
FULL = {name for name, file in FILES.items() if file["backbone"] == "full"}
# Parameters by the number in a head for ten classes on features of width 96.
OF_THE_HEAD = {"head": 97 * 10, "full": 97 * 10, "head_knn": 97 * 10, "tokens_prop": 97 * 10}


def trains_in_backbone(name: str, method: Method) -> set[str]:
    """Parameters of the backbone that train by what the method's file says."""
    if name in FULL:
        return {n for n, _ in method.backbone.named_parameters()}
    tokens = {"none": [], "prop": [0], "standard": range(4)}[FILES[name].get("tokens", {}).get("type", "none")]
    class_token = {"vit.cls_token"} if FILES[name].get("class_token") else set()
    adapted = {f"vit.{parameter}" for parameter in method.backbone.peft.trainable}  # which tests/peft looks at
    return class_token | {f"vit.blocks.{i}.added_mem" for i in tokens} | adapted


def one_step(method: Method, images: Tensor) -> None:
    """Forward, backward and what the memories do, without an optimizer."""
    labels, ids = torch.arange(len(images)) % CLASSES, torch.arange(len(images))
    method.train()
    output = method(images, ids)
    method.loss(output, labels).backward()
    method.after_backward([MicroBatchOutput(images, output, labels, ids)])


def test_there_are_methods_of_both_kinds() -> None:
    assert {"full", "head", "hma", "mlp_head"} <= set(TRAINED)
    assert "knn" in FITTED


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_file_that_names_it(name: str, build: Build, images: Tensor) -> None:
    method = build(name).eval()
    module, _, class_name = FILES[name]["target"].rpartition(".")
    assert (type(method).__module__, type(method).__name__) == (module, class_name)
    assert method.requires_training == (name in TRAINED)
    if not method.requires_training:
        method.fit(clusters(40, 1), clusters(20, 2))
    output = method(images)
    assert output.logits.shape == (6, CLASSES) and torch.isfinite(output.logits).all()
    assert output.features.shape == (6, 96)


@pytest.mark.parametrize("name", TRAINED)
def test_exactly_what_should_train_gets_a_gradient(name: str, build: Build, images: Tensor) -> None:
    method = build(name)
    one_step(method, images)
    with_gradient = {n for n, p in method.backbone.named_parameters() if p.grad is not None}
    assert with_gradient == trains_in_backbone(name, method)
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
    adapted = {id(module) for added in method.backbone.peft.modules for module in added.modules()}
    assert all(module.training == (id(module) in adapted) for module in method.backbone.modules())
    frozen = [method.backbone, *(m for name, m in method.named_children() if name == "momentum_encoder")]
    inside = {id(module) for part in frozen for module in part.modules()}
    assert all(module.training for module in method.modules() if id(module) not in inside)
    assert method(images).features.requires_grad == bool(trains_in_backbone(name, method))


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_of_the_model_that_predicts(name: str, build: Build) -> None:
    method = build(name)
    trainable, total = method.parameter_counts()
    backbone = {n: p.numel() for n, p in method.backbone.named_parameters()}
    outside = ("backbone.", "momentum_encoder.")
    head = sum(p.numel() for n, p in method.named_parameters() if not n.startswith(outside))
    assert head == OF_THE_HEAD.get(name, head)
    solved = sum(b.numel() for n, b in method.named_buffers() if n in ("weight", "bias", "directions"))
    assert total == sum(backbone.values()) + head + solved
    expected = trains_in_backbone(name, method)
    assert trainable == head + sum(count for n, count in backbone.items() if n in expected)
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


@pytest.mark.parametrize("width", ["abc", "2.5", "-3", "0"])
def test_a_hidden_width_that_cannot_be_is_one_line(build: Build, width: str) -> None:
    assert build("mlp_head", "method.options.hidden_width=7").parameter_counts()[0] == 97 * 7 + 8 * CLASSES
    with pytest.raises(UserError, match=rf"method.options.hidden_width={width} must be a whole number from 1, or null"):
        build("mlp_head", f"method.options.hidden_width={width}")


def test_memory_tokens_go_with_the_memory(build: Build, images: Tensor) -> None:
    method = build("hma_head", "method.tokens.type=standard", "method.tokens.number=3", "method.class_token=true")
    one_step(method, images)
    with_gradient = {n for n, p in method.backbone.named_parameters() if p.grad is not None}
    assert with_gradient == {"vit.cls_token", *(f"vit.blocks.{i}.added_mem" for i in range(4))}
    assert method.backbone.vit.blocks[0].added_mem.shape == (1, 3, 96)
