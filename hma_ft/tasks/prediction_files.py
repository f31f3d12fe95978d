"""The file that `task=predict` writes: CSV, or JSON lines where its name ends in .jsonl."""

import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from torch import Tensor

from hma_ft.errors import UserError

TOP = 5  # classes of a CSV row
UNKNOWN = "unknown"  # class of an image that is not answered


@dataclass(frozen=True)
class NamedNeighbour:
    """An image in a memory."""

    image: str  # name, or id where no name is known
    label: str
    distance: float  # cosine distance


@dataclass(frozen=True)
class Prediction:
    """What is said of an image."""

    file: str
    ranked: list[tuple[str, float]]  # all classes with their probabilities, the most probable first
    answered: bool  # False: not confident enough
    nearest: list[NamedNeighbour] | None  # None: the method keeps no images apart

    @property
    def label(self) -> str:
        """The class that is written."""
        return self.ranked[0][0] if self.answered else UNKNOWN

    @property
    def probability(self) -> float:
        """That of the most probable class."""
        return self.ranked[0][1]


def ranked(probabilities: Tensor, class_names: Sequence[str]) -> list[tuple[str, float]]:
    """Classes with their probabilities [C], the most probable first."""
    values, order = probabilities.sort(descending=True, stable=True)
    return [(class_names[index], value) for index, value in zip(order.tolist(), values.tolist(), strict=True)]


class PredictionWriter(ABC):
    """Writes predictions into an open text file."""

    def __init__(self, file: TextIO, *, with_memory: bool) -> None:
        """`with_memory`: there are columns on the nearest images of a memory."""
        self.file = file
        self.with_memory = with_memory

    @abstractmethod
    def write(self, prediction: Prediction) -> None:
        """Append one image."""


class CsvWriter(PredictionWriter):
    """A row an image: the best classes as `class=probability`."""

    def __init__(self, file: TextIO, *, with_memory: bool) -> None:
        super().__init__(file, with_memory=with_memory)
        self._rows = csv.writer(file)
        memory = ["memory_distance", "nearest"] if with_memory else []
        self._rows.writerow(["file", "class", "probability", *(f"top{rank}" for rank in range(1, TOP + 1)), *memory])

    def write(self, prediction: Prediction) -> None:
        """Append a row; nearest images as `name (class)`, apart by semicolons."""
        best = [f"{name}={value:.4f}" for name, value in prediction.ranked[:TOP]]
        row = [prediction.file, prediction.label, f"{prediction.probability:.6f}", *best, *[""] * (TOP - len(best))]
        if self.with_memory:
            found = prediction.nearest or []
            row += [f"{found[0].distance:.6f}" if found else "", "; ".join(f"{n.image} ({n.label})" for n in found)]
        self._rows.writerow(row)


class JsonLinesWriter(PredictionWriter):
    """An object an image, with the probabilities of all classes."""

    def write(self, prediction: Prediction) -> None:
        """Append a line."""
        content: dict[str, Any] = {
            "file": prediction.file,
            "class": prediction.label,
            "probability": prediction.probability,
            "probabilities": dict(prediction.ranked),
        }
        if self.with_memory:
            found = prediction.nearest or []
            content["memory_distance"] = found[0].distance if found else None
            content["nearest"] = [{"image": n.image, "class": n.label, "distance": n.distance} for n in found]
        self.file.write(json.dumps(content, ensure_ascii=False) + "\n")


def writer_for(path: Path) -> type[PredictionWriter]:
    """Return the kind of writer that a file's name asks for. UserError where it asks for another format."""
    kinds: dict[str, type[PredictionWriter]] = {".csv": CsvWriter, ".jsonl": JsonLinesWriter}
    if path.suffix.lower() not in kinds:
        raise UserError(f"output={path}: give NAME.csv or NAME.jsonl")
    return kinds[path.suffix.lower()]
