"""An exponential moving average of the weights that train."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def decay_of_step(decay: float, step: int) -> float:
    """Decay of the average after optimizer step `step`, counted from 1: min(decay, (1 + step) / (10 + step)).

    Without this warm-up the weights of the start, among them a random head, would still make up decay^step of the
    average: 37 % after 1000 steps at 0.999. As TensorFlow's ExponentialMovingAverage does with `num_updates`.
    """
    return min(decay, (1 + step) / (10 + step))


class ModelEma:
    """Shadow weights s <- d * s + (1 - d) * w after each optimizer step, with d of `decay_of_step`.

    Only parameters that train are averaged; buffers, such as a memory, are the live model's.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.live = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
        self.shadow = {name: parameter.detach().clone() for name, parameter in self.live.items()}

    @torch.no_grad()
    def restart(self) -> None:
        """Begin at the live weights as they are now."""
        torch._foreach_copy_(list(self.shadow.values()), list(self.live.values()))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the live weights after optimizer step `step`, counted from 1; all in one fused call."""
        weight = 1.0 - decay_of_step(self.decay, step)
        torch._foreach_lerp_(list(self.shadow.values()), list(self.live.values()), weight)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Inside, the module holds the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state_dict(self) -> dict[str, Tensor]:
        """The shadow weights by name."""
        return self.shadow

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""
        for name, shadow in self.shadow.items():
            shadow.copy_(state[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self.live.items():
            held = parameter.detach().clone()
            parameter.copy_(self.shadow[name])
            self.shadow[name].copy_(held)
