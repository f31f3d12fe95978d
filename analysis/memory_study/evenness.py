"""How evenly the memory head reads its real memory, before training and after, and what makes it choose."""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from analysis.memory_study.features import DEVELOPED_ON, Part, load
from analysis.memory_study.split import Split, draw
from hma_ft.config.schema import HMAConfig
from hma_ft.hma import HMAHead

STEPS, BATCH, RATE, READERS = 300, 32, 0.01, 300


class Variant(NamedTuple):
    """A memory head."""

    name: str
    config: HMAConfig
    cosine: float | None = None  # queries and keys have length 1 in every head, and their product is multiplied by it
    reads_self: bool = True  # in the block of the real memory


class UnitHeads(nn.Module):
    """Each head's part of rows [N, W] at length 1."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, rows: Tensor) -> Tensor:
        """[N, W] -> [N, W]."""
        return functional.normalize(rows.unflatten(-1, (self.heads, -1)), dim=-1).flatten(-2)


VARIANTS = (
    Variant("default", HMAConfig()),
    Variant("head's width (score_scale=2)", HMAConfig(score_scale=2.0)),
    Variant("cosines x 10", HMAConfig(), cosine=10.0),
    Variant("cosines x 10, one projection", HMAConfig(tie_query_key_init=True), cosine=10.0),
    Variant("cosines x 40, one projection", HMAConfig(tie_query_key_init=True), cosine=40.0),
    Variant("the same, without itself", HMAConfig(tie_query_key_init=True), cosine=40.0, reads_self=False),
)


def report(folder: Path) -> None:
    """Print a table: DTD-10 with all variants, EuroSAT with the first and the last two."""
    print("| data | variant | spread of scores | effective rows | own class | itself | test |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for name, variants in {"dtd10": VARIANTS, "eurosat": (VARIANTS[0], *VARIANTS[-2:])}.items():
        pool, test = load(name, folder)
        split = draw(pool, test, val_share=DEVELOPED_ON[name].val_share, seed=0)
        for variant in variants:
            before, after = _measured(variant, split)
            cells = [f"{one} -> {other}" for one, other in zip(before, after, strict=True)]
            print(f"| {name} | {variant.name} | " + " | ".join(cells) + " |", flush=True)


def _measured(variant: Variant, split: Split) -> tuple[list[str], list[str]]:
    """What is said of the head before training and after; its memory begins full of training images."""
    head = _head(variant, split.classes)
    rows = torch.randperm(len(split.train.labels), generator=torch.Generator().manual_seed(0))[:512]
    head.write(split.train.features[rows].float(), split.train.labels[rows], rows)
    before = _reading(head, variant, split.test)
    _train(head, split.train, split.seed)
    return before, _reading(head, variant, split.test)


def _head(variant: Variant, classes: int) -> HMAHead:
    torch.manual_seed(0)
    head = HMAHead(192, classes, variant.config)
    for block in (head.real_attention, head.context_attention):
        assert block is not None
        if variant.cosine is not None:
            block.query = nn.Sequential(block.query, UnitHeads(block.heads))  # type: ignore[assignment]
            block.key = nn.Sequential(block.key, UnitHeads(block.heads))  # type: ignore[assignment]
            block.scale = variant.cosine
            block.prefers_absorbed = lambda readers, memory: False  # type: ignore[method-assign]
    if head.real_attention is not None and not variant.reads_self:
        head.real_attention.forward = partial(head.real_attention.forward, read_self=False)  # type: ignore[method-assign]
    return head


def _train(head: HMAHead, train: Part, seed: int) -> None:
    """SGD with momentum and a cosine schedule on stored features, without augmentation."""
    features, labels = train.features.float(), train.labels
    optimizer = torch.optim.SGD(head.parameters(), RATE, momentum=0.9)
    head.train()
    for step, rows in enumerate(_batches(len(labels), seed), start=1):
        optimizer.param_groups[0]["lr"] = RATE * min(1, step / 10) * (1 + math.cos(math.pi * step / STEPS)) / 2
        optimizer.zero_grad()
        functional.cross_entropy(head(features[rows], rows), labels[rows]).backward()
        optimizer.step()
        head.write(features[rows], labels[rows], rows)


def _batches(count: int, seed: int) -> Iterator[Tensor]:
    generator, waiting = torch.Generator().manual_seed(seed), torch.empty(0, dtype=torch.int64)
    for _ in range(STEPS):
        while len(waiting) < BATCH:
            waiting = torch.cat([waiting, torch.randperm(count, generator=generator)])
        yield waiting[:BATCH]
        waiting = waiting[BATCH:]


@torch.no_grad()
def _reading(head: HMAHead, variant: Variant, test: Part) -> list[str]:
    """Spread of a reader's scores over the rows (standard deviation), effective rows of those in use, the weight on
    rows of the reader's class, that on the reader itself, and the accuracy in percent.
    """
    head.eval()
    chosen = torch.randperm(len(test.labels), generator=torch.Generator().manual_seed(0))[:READERS]
    block, memory, labels = head.real_attention, head.real_memory, head.labels
    assert block is not None and memory is not None and labels is not None
    shared = block.project(memory.rows(labels)[memory.filled])
    rows = labels.append_label_embedding(test.features[chosen].float(), None)
    weights = block.weights(rows, shared, own=block.project(rows) if variant.reads_self else None)
    assert weights.shared is not None
    scores = weights.shared.clamp_min(1e-30).log()  # but for a constant of each reader
    among = weights.shared / weights.shared.sum(-1, keepdim=True)
    effective = torch.special.entr(among).sum(-1).exp().mean().item()
    same = test.labels[chosen][:, None] == memory.labels[memory.filled][None]
    own_class = (among * same).sum(-1).mean().item()
    accuracy = (head(test.features.float()).argmax(1) == test.labels).double().mean().item()
    return [
        f"{scores.std(-1).mean().item():.3f}",
        f"{effective:.0f} of {int(memory.filled.sum())}",
        f"{own_class:.3f}",
        "" if weights.own is None else f"{weights.own.mean().item():.4f}",
        f"{100 * accuracy:.1f}",
    ]
