"""One optimizer step, against a loop written out in plain torch."""

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional

from hma_ft.config.schema import OptimizerConfig
from hma_ft.data.datasets.base import ArrayDataset
from hma_ft.engine.evaluate import Evaluator
from hma_ft.engine.inputs import MicroBatch
from hma_ft.engine.optimizer import create_optimizer
from hma_ft.engine.train_step import TrainStep
from hma_ft.methods.base import Method
from tests.methods.conftest import CLASSES, build

__all__ = ["build"]  # a fixture

STEPS = 4


@pytest.fixture
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


def batches() -> list[MicroBatch]:
    generator = torch.Generator().manual_seed(3)
    return [
        MicroBatch(
            torch.randint(256, (8, 3, 16, 16), dtype=torch.uint8, generator=generator),
            torch.randint(CLASSES, (8,), generator=generator),
            torch.arange(8) + 8 * step,
        )
        for step in range(STEPS)
    ]


def halves(batch: MicroBatch) -> list[MicroBatch]:
    first, second = (MicroBatch(*(t[rows] for t in batch)) for rows in (slice(0, 4), slice(4, 8)))
    return [first, second]


def weights(method: Method) -> Tensor:
    return torch.cat([p.detach().flatten() for p in method.parameters() if p.requires_grad])


def learned(method: Method, accelerator: Accelerator, split: bool = False, **options: object) -> Tensor:
    config = OptimizerConfig(name="sgd", lr=0.1, momentum=0.9, weight_decay=0.01)
    train_step = TrainStep(method, create_optimizer(method, config), accelerator, seed=0, **options)
    for step, batch in enumerate(batches()):
        train_step.step(halves(batch) if split else [batch], step=step, learning_rate_factor=1.0)
    return weights(method)


@pytest.mark.parametrize("name", ["full", "head"])
def test_it_is_sgd_with_momentum(name: str, build: object, accelerator: Accelerator) -> None:
    plain = build(name).double()
    exempt = plain.backbone.no_weight_decay()
    parameters = [(n, p) for n, p in plain.named_parameters() if p.requires_grad]
    velocity = [torch.zeros_like(p) for _, p in parameters]
    for batch in batches():
        loss = functional.cross_entropy(plain(batch.inputs).logits, batch.targets)
        gradients = torch.autograd.grad(loss, [p for _, p in parameters])
        with torch.no_grad():
            for (full_name, p), g, v in zip(parameters, gradients, velocity, strict=True):
                decays = p.ndim > 1 and full_name.removeprefix("backbone.") not in exempt
                v.mul_(0.9).add_(g + (0.01 * p if decays else 0.0))
                p.sub_(0.1 * v)
    own = learned(build(name).double(), accelerator)
    torch.testing.assert_close(own, weights(plain), atol=1e-12, rtol=1e-10)


def test_micro_batches_are_one_batch(build: object, accelerator: Accelerator) -> None:
    whole = learned(build("full").double(), accelerator)
    torch.testing.assert_close(learned(build("full").double(), accelerator, split=True), whole, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("name", ["hma", "hma_head"])
@pytest.mark.parametrize("context", ["method.hma.batch_attention=false", "method.hma.train_context=alone"])
def test_micro_batches_are_one_batch_with_a_memory(
    name: str, context: str, build: object, accelerator: Accelerator
) -> None:
    """Weights, momentum encoder and queue; the queue is filled and overwritten, and read before it is written."""
    states = []
    for split in (False, True):
        method = build(name, "method.hma.real.size=12", "method.hma.dropout=0", context).double()
        learned(method, accelerator, split=split)
        states.append(method.state_dict())
    assert states[0]["head.real_memory.filled"].all() and int(states[0]["head.real_memory.pointer"]) == 8 * STEPS % 12
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, atol=1e-12, rtol=1e-9, msg=key)


def test_attention_over_the_batch_takes_no_micro_batches(build: object, accelerator: Accelerator) -> None:
    with pytest.raises(ValueError, match="HMA reads the whole batch"):
        learned(build("hma_head"), accelerator, split=True)


class CountsWalks(nn.Module):
    """Counts how often the mode of the modules around it was set."""

    walks = 0

    def train(self, mode: bool = True) -> "CountsWalks":
        self.walks += 1
        return super().train(mode)


def test_modules_are_walked_once_a_phase(build: object, accelerator: Accelerator) -> None:
    method = build("head").eval()
    method.counter = CountsWalks()
    train_step = TrainStep(method, create_optimizer(method, OptimizerConfig()), accelerator, seed=0)
    images = ArrayDataset(torch.zeros(9, 3, 16, 16, dtype=torch.uint8), torch.arange(9), [])
    evaluator = Evaluator(
        method, accelerator, {"train": images, "val": images}, lambda x: x, batch_size=2, num_workers=0, seed=0
    )
    for _ in range(2):
        for step, batch in enumerate(batches()):
            train_step.step([batch], step=step, learning_rate_factor=1.0)
            assert method.training and method.head.training and not method.backbone.vit.training
        evaluator.predict("val", "alone")
        assert not any(module.training for module in method.modules())
    assert method.counter.walks == 4


def test_the_gradient_is_clipped(build: object, accelerator: Accelerator) -> None:
    before = weights(build("head"))
    method = build("head")
    train_step = TrainStep(
        method,
        create_optimizer(method, OptimizerConfig(lr=1.0, momentum=0.0)),
        accelerator,
        seed=0,
        clip_grad_norm=0.01,
    )
    train_step.step([batches()[0]], step=0, learning_rate_factor=1.0)
    assert (weights(method) - before).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_dropout_depends_on_the_step_alone(build: object, accelerator: Accelerator) -> None:
    torch.manual_seed(1)
    first = learned(build("hma_head", "method.hma.dropout=0.5"), accelerator)
    torch.manual_seed(2)
    assert torch.equal(first, learned(build("hma_head", "method.hma.dropout=0.5"), accelerator))


def test_a_learner_restored_goes_on_bit_for_bit(build: object, accelerator: Accelerator) -> None:
    def fresh() -> TrainStep:
        method = build("hma", "method.hma.real.size=12")
        return TrainStep(method, create_optimizer(method, OptimizerConfig(lr=0.05)), accelerator, seed=0, ema_decay=0.9)

    whole, cut = fresh(), fresh()
    for step, batch in enumerate(batches()):
        whole.step([batch], step=step, learning_rate_factor=1.0)
    for step, batch in enumerate(batches()[:2]):
        cut.step([batch], step=step, learning_rate_factor=1.0)
    saved = cut.state_dict()
    again = fresh()
    again.load_state_dict(saved)
    for step, batch in enumerate(batches()[2:], start=2):
        again.step([batch], step=step, learning_rate_factor=1.0)
    expected = whole.state_dict()
    for part in ("method", "average"):
        own = again.state_dict()[part]
        assert own.keys() == expected[part].keys() and own
        for name, value in own.items():
            assert torch.equal(value, expected[part][name]), name
