"""The average of the weights against its formula, and against timm's."""

import copy

import pytest
import torch
from timm.utils import ModelEmaV3
from torch import nn

from hma_ft.engine.ema import ModelEma, decay_of_step

DECAY, STEPS = 0.5, 12


def trained(module: nn.Module, step: int) -> None:
    """Move the weights, by something else each step."""
    with torch.no_grad():
        module.weight += step


def test_average_follows_its_formula_and_swaps_in_and_out() -> None:
    module = nn.Linear(3, 2)
    module.bias.requires_grad_(False)
    average = ModelEma(module, DECAY)
    expected = module.weight.detach().clone()
    decays = []
    for step in range(1, STEPS + 1):
        trained(module, step)
        average.update(step)
        decays.append(min(DECAY, (1 + step) / (10 + step)))
        expected = decays[-1] * expected + (1 - decays[-1]) * module.weight.detach()
    assert decays[0] == pytest.approx(2 / 11) and decays[-1] == DECAY  # the warm-up and its end
    live, bias = module.weight.detach().clone(), module.bias.detach().clone()
    with average.swapped_in():
        torch.testing.assert_close(module.weight.detach(), expected)
        assert torch.equal(module.bias, bias)
    assert torch.equal(module.weight, live)
    restored = ModelEma(module, DECAY)
    restored.load_state_dict(average.state_dict())
    with restored.swapped_in():
        torch.testing.assert_close(module.weight.detach(), expected)


def test_average_is_timms_at_the_decay_of_each_step() -> None:
    """timm's own warm-up follows another curve; given the decay, the averages are the same."""
    module = nn.Linear(3, 2)
    average, theirs = ModelEma(module, DECAY), ModelEmaV3(module)
    for step in range(1, STEPS + 1):
        trained(module, step)
        average.update(step)
        theirs.decay = min(DECAY, (1 + step) / (10 + step))
        theirs.update(module)
    with average.swapped_in():
        torch.testing.assert_close(module.weight, theirs.module.weight)


def test_the_start_is_forgotten_within_a_short_run() -> None:
    """Without warm-up a weight of the start would make up 0.999^1000 = 37 % of the average."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.ones_(module.weight)
    average = ModelEma(copy.deepcopy(module), 0.999)
    with torch.no_grad():
        average.live["weight"].zero_()
    for step in range(1, 1001):
        average.update(step)
    assert float(average.shadow["weight"]) < 1e-15
    assert decay_of_step(0.999, 1000) == pytest.approx(1001 / 1010)
    assert decay_of_step(0.999, 100_000) == 0.999
