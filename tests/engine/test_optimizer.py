"""Parameter groups and rates, against what timm makes of the same model."""

import pytest
import torch
from timm.optim import create_optimizer_v2, param_groups_weight_decay

from hma_ft.backbone import create_backbone
from hma_ft.config.schema import HMAConfig, MethodConfig, ModelConfig, OptimizerConfig, TokensConfig
from hma_ft.engine.optimizer import create_optimizer, set_learning_rate
from hma_ft.methods.hma import HMA
from hma_ft.methods.linear import Linear

NAME = "vit_tiny_patch16_224"


def method() -> Linear:
    backbone = create_backbone(ModelConfig(NAME, pretrained=False), image_size=224, tokens=TokensConfig())
    return Linear(backbone, 1000, MethodConfig(), False)


def rates(optimizer: torch.optim.Optimizer, names: dict[int, str]) -> dict[str, tuple[float, float]]:
    """Learning rate at full scale and weight decay of each parameter."""
    return {
        names[id(p)]: (group.get("base_lr", group["lr"] * group.get("lr_scale", 1.0)), group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }


@pytest.mark.parametrize("decay", [None, 0.75])
def test_rates_and_decay_are_timms(decay: float | None) -> None:
    import timm

    ours = method()
    theirs = timm.create_model(NAME)
    config = OptimizerConfig(name="adamw", lr=0.1, weight_decay=0.05, layer_decay=decay)
    own = rates(
        create_optimizer(ours, config),
        {id(p): n.removeprefix("backbone.vit.") for n, p in ours.named_parameters()},
    )
    reference = create_optimizer_v2(theirs, opt="adamw", lr=0.1, weight_decay=0.05, layer_decay=decay)
    expected = rates(reference, {id(p): n for n, p in theirs.named_parameters()})
    assert own.keys() == expected.keys()
    for name, (rate, weight_decay) in expected.items():
        assert own[name] == (pytest.approx(rate), weight_decay), name


@pytest.mark.parametrize("null_key", [False, True])
def test_embeddings_of_the_memory_do_not_decay(null_key: bool) -> None:
    """The groups are those that timm makes of the head when it is told its embeddings."""
    backbone = create_backbone(ModelConfig(NAME, pretrained=False), image_size=224, tokens=TokensConfig())
    hma = HMA(backbone, 10, MethodConfig(hma=HMAConfig(null_key=null_key)), False)
    own = rates(
        create_optimizer(hma, OptimizerConfig(name="adamw", lr=0.1, weight_decay=0.05)),
        {id(p): n for n, p in hma.named_parameters()},
    )
    embeddings = ("synthetic_memory.slots", "labels.embedding.weight")
    groups = param_groups_weight_decay(hma.head, weight_decay=0.05, no_weight_decay_list=embeddings)
    theirs = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    expected = {f"head.{n}": theirs[id(p)] for n, p in hma.head.named_parameters()}
    assert {n: decay for n, (_, decay) in own.items() if n.startswith("head.")} == expected
    still = {n for n, decay in expected.items() if decay}
    assert {f"head.{n}" for n in embeddings}.isdisjoint(still)
    assert not any(n.endswith(("bias", "norm.weight", "null_key")) for n in still)
    assert {"head.classifier.weight", "head.real_attention.query.weight", "head.context_attention.ffn.0.weight"} < still


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam)])
def test_the_factory(name: str, kind: type) -> None:
    optimizer = create_optimizer(method(), OptimizerConfig(name=name, lr=0.1, momentum=0.8))
    assert type(optimizer).__name__.removesuffix("Legacy") == kind.__name__
    if name == "sgd":
        assert optimizer.param_groups[0]["momentum"] == 0.8
        assert not optimizer.param_groups[0]["nesterov"]


def test_the_schedule_scales_every_group() -> None:
    optimizer = create_optimizer(method(), OptimizerConfig(lr=0.1, layer_decay=0.5))
    full = [group["base_lr"] for group in optimizer.param_groups]
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.25 * rate for rate in full])
    assert max(full) == pytest.approx(0.1)
    assert min(full) == pytest.approx(0.1 * 0.5**13)
