"""The two-layer bottleneck that adapters have in common: s U f(V x)."""

import math
from collections.abc import Callable

from torch import Tensor, nn


class Bottleneck(nn.Module):
    """[..., D] -> [..., D] through `width` hidden units; zero at first: V from Kaiming-uniform(a = sqrt 5), U = 0."""

    def __init__(
        self, features: int, width: int, *, activation: Callable[[], nn.Module], dropout: float, scale: float
    ) -> None:
        super().__init__()
        self.down = nn.Linear(features, width)
        self.activation = activation()
        self.dropout = nn.Dropout(dropout)
        self.up = nn.Linear(width, features)
        self.scale = scale
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, inputs: Tensor) -> Tensor:
        """s U f(V x)."""
        return self.scale * self.up(self.dropout(self.activation(self.down(inputs))))
