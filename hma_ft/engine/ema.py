"""An exponential moving average of the weights that train."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Shadow weights s <- decay * s + (1 - decay) * w after each optimizer step.

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
    def update(self) -> None:
        """Move towards the live weights, all in one fused call."""
        torch._foreach_lerp_(list(self.shadow.values()), list(self.live.values()), 1.0 - self.decay)

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
