"""HMA over adapted features: the momentum encoder copies what trains, and stored rows follow it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from hma_ft.backbone.create import create_backbone
from hma_ft.config.schema import BackboneTuning, Config, OptimizerConfig, PeftConfig
from hma_ft.engine.optimizer import create_optimizer
from hma_ft.engine.state import digest_of_frozen, load_trainable_state_dict, trainable_state_dict
from hma_ft.methods.base import MicroBatchOutput
from hma_ft.methods.create import create_method
from hma_ft.methods.hma import HMA
from hma_ft.peft.adapted import Adapted
from tests.config.test_compose import composed

CLASSES, BATCH, STEPS = 5, 6, 4
SMALL = ["model=vit_micro", "method.hma.real.size=16", "method.hma.synthetic.slots=2", "method.hma.heads=2"]


def everything(vit: Any) -> Adapted:
    """A PEFT method in whose name the whole model trains, in train mode."""
    return Adapted(frozenset(name for name, _ in vit.named_parameters()), modules=(vit,))


def hma(config: Config) -> HMA:
    torch.manual_seed(0)
    method = config.method
    backbone = create_backbone(config.model, image_size=16, tokens=method.tokens, peft=method.peft)
    built = create_method(method, backbone, CLASSES, soft_labels=False)
    assert isinstance(built, HMA)
    return built


def batch(step: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    images = torch.randint(256, (BATCH, 3, 16, 16), dtype=torch.uint8, generator=generator)
    labels = torch.randint(CLASSES, (BATCH,), generator=generator)
    return images, labels, torch.arange(BATCH) + BATCH * step


def train(method: HMA, rate: float = 0.01, after: Callable[[int], None] | None = None) -> None:
    optimizer = create_optimizer(method, OptimizerConfig(name="adamw", lr=rate))
    for step in range(STEPS):
        images, labels, ids = batch(step)
        torch.manual_seed(step)
        method.train()
        output = method(images, ids)
        method.loss(output, labels).backward()
        method.after_backward([MicroBatchOutput(images, output, labels, ids)])
        optimizer.step()
        optimizer.zero_grad()
        if after is not None:
            after(step)


def test_where_everything_trains_it_is_full_hma_bit_for_bit() -> None:
    config = composed("method=hma", *SMALL, "model.drop_path_rate=0.2", "method.hma.real.momentum=0.7")
    full = hma(config)
    config.method.backbone = BackboneTuning.frozen
    config.method.peft = PeftConfig(name="everything", target=f"{__name__}.everything")
    adapted = hma(config)
    for method in (full, adapted):
        train(method)
    one, other = full.state_dict(), adapted.state_dict()
    assert one.keys() == other.keys() and "momentum_encoder.encoder.vit.norm.weight" in one
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", ["hma_lora", "hma_vpt", "hma_adapter"])
def test_only_what_trains_is_copied_and_rows_are_the_copys(name: str) -> None:
    method = hma(composed(f"method={name}", *SMALL, "method.hma.real.momentum=0.7"))
    assert method.momentum_encoder is not None
    names = [key for key, value in method.backbone.named_parameters() if value.requires_grad]
    live, copied = dict(method.backbone.named_parameters()), dict(method.momentum_encoder.encoder.named_parameters())
    assert {key for key in live if live[key] is not copied[key]} == set(names)
    expected = {key: live[key].detach().clone() for key in names}
    start = {key: value.clone() for key, value in expected.items()}

    def follow(step: int) -> None:
        memory, encoder = method.head.real_memory, method.momentum_encoder
        assert memory is not None and encoder is not None
        rows = (torch.arange(BATCH) + BATCH * step) % memory.size
        torch.testing.assert_close(memory.features[rows], encoder(batch(step)[0]), rtol=0, atol=1e-6)

    after_backward = method.after_backward

    def observed(step: list[MicroBatchOutput]) -> None:
        after_backward(step)
        for key in names:
            expected[key] = 0.7 * expected[key] + 0.3 * live[key].detach()
            torch.testing.assert_close(copied[key], expected[key], rtol=0, atol=1e-6)

    method.after_backward = observed  # type: ignore[method-assign]
    train(method, after=follow)
    assert all(not torch.equal(copied[key], start[key]) for key in names)
    assert all(not torch.allclose(copied[key], live[key], atol=1e-5) for key in names)


def test_rows_are_written_in_evaluation_mode() -> None:
    """Drop path of the frozen backbone is on in the step, and off in what the memory keeps of it."""
    method = hma(composed("method=hma_lora", *SMALL, "method.peft.drop_path=0.9", "method.peft.options.dropout=0.9"))
    images, labels, ids = batch(0)
    method.train()
    output = method(images, ids)
    method.after_backward([MicroBatchOutput(images, output, labels, ids)])
    expected = method.eval().features(images)
    memory = method.head.real_memory
    assert memory is not None
    torch.testing.assert_close(memory.features[:BATCH], expected, rtol=0, atol=1e-5)
    assert not torch.allclose(output.features, expected, atol=1e-2)


def test_checkpoints_hold_the_copy_and_no_frozen_weight() -> None:
    config = composed("method=hma_lora", *SMALL)
    method = hma(config)
    train(method)
    state = trainable_state_dict(method)
    inside = {name for name in state if ".vit." in name}
    assert inside == {
        f"{encoder}.vit.blocks.{block}.attn.qkv.lora.{matrix}"
        for encoder in ("backbone", "momentum_encoder.encoder")
        for block in range(4)
        for matrix in ("a", "b")
    }
    assert not any(name.startswith("momentum_encoder") for name in trainable_state_dict(method, inference_only=True))
    again = hma(config)
    load_trainable_state_dict(again, {name: value.clone() for name, value in state.items()}, digest_of_frozen(method))
    for name, value in method.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_tokens_alone_write_live_features_as_in_the_release() -> None:
    method = hma(composed("method=hma_head", "method/peft=tokens_standard", *SMALL))
    assert method.momentum_encoder is None


def test_counts_leave_the_copy_out() -> None:
    lora, head = hma(composed("method=hma_lora", *SMALL)), hma(composed("method=hma_head", *SMALL))
    added = 4 * (8 * 96 + 3 * 96 * 8)
    assert [one - other for one, other in zip(lora.parameter_counts(), head.parameter_counts(), strict=True)] == [
        added,
        added,
    ]
