"""DoRA: LoRA with the length of every row of the weight trained apart (Liu et al., ICML 2024).

    y = m (W + s B A) x / |W + s B A| + b        m = |W| at the start, norms of rows

The norm in the denominator takes no gradient (section 4.3 of the paper). At the start, B = 0, the model is what it was,
bit for bit.
"""

from typing import Any

import torch
from torch import Tensor, nn

from hma_ft.peft.adapted import Adapted, TimmViT
from hma_ft.peft.lora import LowRank, add_low_rank


class WeightDecomposed(LowRank):
    """A low-rank update of a linear layer's directions, and the magnitudes [out] of its rows."""

    def __init__(self, layer: nn.Linear, starts: tuple[int, ...], rows: int, **options: Any) -> None:
        super().__init__(layer, starts, rows, **options)
        self.magnitude = nn.Parameter(_row_norms(layer.weight.detach()))

    def gain(self, layer: nn.Linear) -> Tensor:
        """m / |W + s B A|: [out]."""
        with torch.no_grad(), torch.autocast(layer.weight.device.type, enabled=False):
            norms = _row_norms(layer.weight + self.delta())
        return self.magnitude / norms.clamp_min(torch.finfo(norms.dtype).tiny)

    def adapted(self, layer: nn.Linear, inputs: Tensor, output: Tensor) -> Tensor:
        """The output of the updated layer, given that of the layer itself."""
        gain = self.gain(layer)
        projected = output if layer.bias is None else output - layer.bias
        return output + ((gain - 1) * projected + gain * self.update(inputs)).to(output.dtype)

    def merged_weight(self, layer: nn.Linear) -> Tensor:
        """The weight of the updated layer."""
        return self.gain(layer).unsqueeze(1) * (layer.weight + self.delta())


def add_dora(vit: TimmViT, *, rank: int, alpha: float, dropout: float, targets: list[str]) -> Adapted:
    """Give the projections of every block a weight-decomposed update; options as of LoRA."""
    return add_low_rank(vit, WeightDecomposed, rank=rank, alpha=alpha, dropout=dropout, targets=targets)


def _row_norms(weight: Tensor) -> Tensor:
    return torch.linalg.norm(weight, dim=1)
