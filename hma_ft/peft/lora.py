"""LoRA: low-rank updates of the attention's projections (Hu et al., ICLR 2022).

    y = W x + b + s B A x        s = alpha / rank,  A from Kaiming-uniform(a = sqrt 5),  B = 0

`targets=[qkv]` updates the fused layer with one A for queries, keys and values; [q, v], [q, k, v] and so on give each
part an A of its own. Dropout acts on x before A. At the start the model is what it was, bit for bit.
"""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from hma_ft.errors import UserError
from hma_ft.peft.adapted import Adapted, TimmViT, UnsupportedModel, parameters_below
from hma_ft.peft.options import require_positive, require_rate
from hma_ft.peft.projections import PARTS, Projection, attention_projections

CHILD = "lora"  # of a linear layer


class LowRank(nn.Module):
    """The update of a linear layer [out, in]: G pairs of A [rank, in] and B [rows, rank], for `rows` output rows each.

    Attributes:
        a: [G, rank, in].
        b: [G, rows, rank].
        starts: first output row of each pair.
        scale: s.
    """

    hook: RemovableHandle  # of the layer

    def __init__(
        self, layer: nn.Linear, starts: tuple[int, ...], rows: int, *, rank: int, alpha: float, dropout: float
    ) -> None:
        super().__init__()
        self.starts = starts
        self.out_features = layer.out_features
        self.rank, self.alpha, self.scale = rank, alpha, alpha / rank
        self.a = nn.Parameter(layer.weight.new_empty(len(starts), rank, layer.in_features))
        self.b = nn.Parameter(layer.weight.new_zeros(len(starts), rows, rank))
        for matrix in self.a:
            nn.init.kaiming_uniform_(matrix, a=math.sqrt(5))
        self.dropout = nn.Dropout(dropout)

    def stacked_a(self) -> Tensor:
        """All A, one below the other: [G rank, in]."""
        return self.a.flatten(0, 1)

    def placed_b(self) -> Tensor:
        """All B beside each other, each in its own rows: [out, G rank]."""
        after = [self.out_features - start - self.b.shape[1] for start in self.starts]
        columns = [
            functional.pad(b, (0, 0, start, end)) for b, start, end in zip(self.b, self.starts, after, strict=True)
        ]
        return torch.cat(columns, dim=1)

    def delta(self) -> Tensor:
        """The update of the weight, s B A: [out, in]."""
        return self.scale * (self.placed_b() @ self.stacked_a())

    def update(self, inputs: Tensor) -> Tensor:
        """The update of the output, s B A x: [..., in] -> [..., out]."""
        return self.scale * functional.linear(
            functional.linear(self.dropout(inputs), self.stacked_a()), self.placed_b()
        )

    def adapted(self, layer: nn.Linear, inputs: Tensor, output: Tensor) -> Tensor:
        """The output of the updated layer, given that of the layer itself."""
        return output + self.update(inputs)

    def merged_weight(self, layer: nn.Linear) -> Tensor:
        """The weight of the updated layer."""
        return layer.weight + self.delta()


def add_lora(vit: TimmViT, *, rank: int, alpha: float, dropout: float, targets: list[str]) -> Adapted:
    """Give the projections of every block a low-rank update; see the module."""
    return add_low_rank(vit, LowRank, rank=rank, alpha=alpha, dropout=dropout, targets=targets)


def add_low_rank(
    vit: TimmViT, kind: type[LowRank], *, rank: int, alpha: float, dropout: float, targets: list[str]
) -> Adapted:
    """Give the projections of every block an update of this kind."""
    require_positive(rank=rank, alpha=alpha)
    require_rate(dropout=dropout)
    _check_targets(targets)
    added = []
    for projection in attention_projections(vit):
        starts, rows = _rows(projection, targets)
        if starts:
            low_rank = kind(projection.layer, starts, rows, rank=rank, alpha=alpha, dropout=dropout)
            projection.layer.add_module(CHILD, low_rank)
            low_rank.hook = projection.layer.register_forward_hook(_adapt)
            added.append(low_rank)
    return Adapted(parameters_below(vit, CHILD), modules=tuple(added), merge=partial(_merge, vit))


def low_rank_layers(vit: TimmViT) -> dict[str, LowRank]:
    """The updates by the name of the layer within the ViT."""
    return {
        name.removesuffix(f".{CHILD}"): module for name, module in vit.named_modules() if isinstance(module, LowRank)
    }


def _check_targets(targets: list[str]) -> None:
    known = targets == ["qkv"] or (targets and len(set(targets)) == len(targets) and set(targets) <= set(PARTS))
    if not known:
        raise UserError(
            f"method.peft.options.targets=[{','.join(targets)}]: use [qkv] for one update of the fused projection, or "
            "some of [q,k,v] for one each"
        )


def _rows(projection: Projection, targets: list[str]) -> tuple[tuple[int, ...], int]:
    """First output row of each update of a layer, and the number of rows of one."""
    if targets == ["qkv"]:
        if projection.parts != PARTS:
            raise UnsupportedModel(
                "this model has a layer each for q, k and v; set method.peft.options.targets=[q,k,v] or some of them"
            )
        return (0,), projection.layer.out_features
    rows = projection.layer.out_features // len(projection.parts)
    return tuple(rows * index for index, part in enumerate(projection.parts) if part in targets), rows


def _adapt(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Forward hook."""
    return layer.lora.adapted(layer, inputs[0], output)


@torch.no_grad()
def _merge(vit: TimmViT) -> None:
    for name, low_rank in low_rank_layers(vit).items():
        layer = vit.get_submodule(name)
        layer.weight.copy_(low_rank.merged_weight(layer))
        low_rank.hook.remove()
        delattr(layer, CHILD)
