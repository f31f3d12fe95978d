"""What a memory holds: rows, classes, ages, norms, and the images they come from."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from analysis.trained import Trained
from hma_ft.errors import UserError
from hma_ft.hma import HMAHead
from hma_ft.memory.bank import FeatureBank
from hma_ft.memory.class_sums import ClassSums
from hma_ft.memory.ring_buffer import NO_ID, RealMemory
from hma_ft.methods.base import Memory
from hma_ft.rundir.result import read_result


@dataclass
class Row:
    """One row that is in use."""

    row: int  # place in the memory
    id: int | None  # in the train split; None for a row of no image
    file: str
    label: int  # of a mixed image, the class with the larger share
    mixed_with: str  # file of the second image of a mixed one, else empty
    step: int | None  # training step that wrote it; None where rows have no age
    norm: float  # of the feature, Euclidean; nan where the memory keeps no features


@dataclass
class Contents:
    """A memory of C classes."""

    name: str
    size: int  # rows, used or not
    masked: int  # rows that are never read because nothing was written to them
    per_class: Tensor  # [C] rows, mixed ones by their shares
    rows: list[Row]  # the newest first, where they have an age

    @property
    def images(self) -> int:
        """Different training images among the rows."""
        return len({row.id for row in self.rows if row.id is not None})

    @property
    def steps(self) -> tuple[int, int] | None:
        """First and last step that wrote a row."""
        steps = [row.step for row in self.rows if row.step is not None]
        return (min(steps), max(steps)) if steps else None

    @property
    def norms(self) -> tuple[float, float, float, float]:
        """Least, mean, greatest norm and their standard deviation; NaN for an empty memory."""
        norms = torch.tensor([row.norm for row in self.rows] or [torch.nan], dtype=torch.float64)
        return norms.min().item(), norms.mean().item(), norms.max().item(), norms.std(correction=0).item()


def contents(trained: Trained) -> list[Contents]:
    """Every memory of training images that some inference mode reads, and the synthetic memory.

    Raises:
        UserError: the method has none.
    """
    method = trained.method
    memories: dict[str, Memory] = {}
    for mode in trained.modes:
        trained.prepare_inference(mode)
        memories |= method.memories(mode)
    found = [
        _real(trained, name, m) if isinstance(m, RealMemory) else _set(trained, name, m) for name, m in memories.items()
    ]
    head = getattr(method, "head", None)
    if isinstance(head, HMAHead) and head.synthetic_memory is not None:
        found.append(_synthetic(trained, head.synthetic_memory.slots, head.synthetic_memory.labels))
    if not found:
        raise UserError(
            f"run={trained.directory} (method {trained.config.method.name}) has no memory: give a run of method=hma, "
            "hma_head, hma_head_cls, knn, head_knn, ncm, ridge, ranpac, lda or kernel_ridge"
        )
    return found


def _real(trained: Trained, name: str, memory: RealMemory) -> Contents:
    """Rows were written batch by batch up to the step whose weights were chosen."""
    last = int(read_result(trained.directory)["best/step"])
    probabilities = memory.class_probabilities()[memory.filled].cpu()
    ages = memory.age().tolist()
    newest_first = sorted(memory.filled.nonzero().squeeze(1).tolist(), key=lambda row: ages[row])
    norms = memory.features.norm(dim=1).tolist()
    labels = memory.class_probabilities().argmax(1).tolist()
    rows = [
        _row(
            trained,
            row,
            memory.ids[row].tolist(),
            labels[row],
            norms[row],
            last - ages[row] // trained.config.trainer.batch_size,
        )
        for row in newest_first
    ]
    masked = int((~memory.filled).sum()) if trained.config.method.hma.real.mask_unfilled else 0
    return Contents(name, memory.size, masked, probabilities.sum(0), rows)


def _set(trained: Trained, name: str, bank: FeatureBank | ClassSums) -> Contents:
    """Sums keep no features, so their rows have no norm."""
    norms = bank.features.norm(dim=1).tolist() if isinstance(bank, FeatureBank) else [math.nan] * len(bank)
    rows = [
        _row(trained, row, [sample, NO_ID], label, norms[row], None)
        for row, (sample, label) in enumerate(zip(bank.ids.tolist(), bank.labels.tolist(), strict=True))
    ]
    return Contents(name, len(bank), 0, _count(trained, bank.labels), rows)


def _synthetic(trained: Trained, slots: Tensor, labels: Tensor) -> Contents:
    norms = slots.detach().norm(dim=1).tolist()
    rows = [Row(row, None, "", label, "", None, norms[row]) for row, label in enumerate(labels.tolist())]
    return Contents("synthetic", len(slots), 0, _count(trained, labels), rows)


def _row(trained: Trained, row: int, ids: list[int], label: int, norm: float, step: int | None) -> Row:
    train = trained.splits.train
    files = ["" if sample == NO_ID else train.sample_id(sample) for sample in ids]
    return Row(row, None if ids[0] == NO_ID else ids[0], files[0], label, files[1], step, norm)


def _count(trained: Trained, labels: Tensor) -> Tensor:
    return functional.one_hot(labels.cpu(), len(trained.class_names)).sum(0)
