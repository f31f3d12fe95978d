"""The average of the weights against its formula."""

import torch
from torch import nn

from hma_ft.engine.ema import WeightAverage


def test_average_follows_its_formula_and_swaps_in_and_out() -> None:
    module = nn.Linear(3, 2)
    module.bias.requires_grad_(False)
    average = WeightAverage(module, 0.8)
    expected = module.weight.detach().clone()
    for step in range(4):
        with torch.no_grad():
            module.weight += step
        average.update()
        expected = 0.8 * expected + 0.2 * module.weight.detach()
    live, bias = module.weight.detach().clone(), module.bias.detach().clone()
    with average.swapped_in():
        torch.testing.assert_close(module.weight.detach(), expected)
        assert torch.equal(module.bias, bias)
    assert torch.equal(module.weight, live)
    restored = WeightAverage(module, 0.8)
    restored.load_state_dict(average.state_dict())
    with restored.swapped_in():
        torch.testing.assert_close(module.weight.detach(), expected)
