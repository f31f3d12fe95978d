"""What a method declares not to read changes no bit of it."""

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from hma_ft.config.schema import Config, Reads
from hma_ft.engine.optimizer import create_optimizer
from hma_ft.methods.base import Method
from hma_ft.methods.validate import model_problems
from tests.config.test_compose import CHOICES, composed
from tests.engine.test_train_step import accelerator, learned
from tests.methods.conftest import Build
from tests.methods.test_knn import clusters

__all__ = ["accelerator"]  # a fixture

METHODS = [choice for group, choice in CHOICES if group == "method"]
OTHER_HMA = [
    "method.hma.label_width=32",
    "method.hma.real.size=7",
    "method.hma.dropout=0.5",
    "method.hma.batch_attention=false",
]


def state_of(method: Method, accelerator: Accelerator) -> dict[str, Tensor]:
    """All of it after some steps, or after its fit."""
    torch.manual_seed(1)
    if method.requires_training:
        learned(method, accelerator)
    else:
        method.eval().fit(clusters(40, 1), clusters(20, 2))
    return method.state_dict()


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize("name", METHODS)
def test_settings_of_the_memory(name: str, build: Build, accelerator: Accelerator) -> None:
    """HMA, and its control, whose size follows it, read them; they change nothing of the others."""
    reads = Reads.hma in composed(f"method={name}").method.reads
    plain, other = build(name), build(name, *OTHER_HMA)
    if reads:
        assert plain.parameter_counts() != other.parameter_counts()
    else:
        assert_equal(state_of(plain, accelerator), state_of(other, accelerator))


@pytest.mark.parametrize(
    ("base", "unread"),
    [
        (["real.size=0"], ["real.momentum=0.5", "real.start=train", "real.update=false", "real.store=vectors"]),
        (["real.size=0"], ["real.mask_unfilled=false"]),
        (["synthetic.slots=0"], ["synthetic.init=zeros"]),
        (["batch_attention=false"], ["train_context=alone", "support_size=7"]),
        ([], ["renormalise_top_k=true"]),
    ],
    ids=str,
)
def test_settings_of_what_is_switched_off(
    base: list[str], unread: list[str], build: Build, accelerator: Accelerator
) -> None:
    base, unread = [f"method.hma.{key}" for key in base], [f"method.hma.{key}" for key in unread]
    plain, other = (state_of(build("hma", *base, *more), accelerator) for more in ([], unread))
    assert_equal(plain, other)


def test_momentum_of_an_optimizer_without(build: Build) -> None:
    method = build("head")
    configs = [composed("optimizer=adam", f"optimizer.momentum={momentum}").optimizer for momentum in (0.9, 0.1)]
    one, other = (str(create_optimizer(method, config)) for config in configs)
    assert one == other


@pytest.mark.parametrize("name", METHODS)
def test_what_trains_declares_it(name: str) -> None:
    config: Config = composed(f"method={name}", "model=vit_micro")
    trains = Reads.training in config.method.reads
    config.method.reads = []
    problems = model_problems(config)
    assert len(problems) == trains
    if trains:
        assert problems[0].startswith("method.reads=[]: ") and "add training" in problems[0]
