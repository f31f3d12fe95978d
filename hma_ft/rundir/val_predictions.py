"""val_predictions.npz: how confident the chosen weights are on val, and whether they are right."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from hma_ft.errors import UserError
from hma_ft.files.atomic import write_atomic

if TYPE_CHECKING:
    import numpy as np

FILE = "val_predictions.npz"


@dataclass(frozen=True)
class ValPredictions:
    """Val images in the order of their ids, in the headline inference mode."""

    confidence: "np.ndarray"  # float32 [N]: probability of the predicted class
    predicted: "np.ndarray"  # int64 [N]
    labels: "np.ndarray"  # int64 [N]

    @classmethod
    def of(cls, probabilities: "np.ndarray", labels: "np.ndarray") -> "ValPredictions":
        """From probabilities [N, C] and labels [N]."""
        return cls(probabilities.max(1), probabilities.argmax(1), labels)

    @property
    def correct(self) -> "np.ndarray":
        """Which images were recognised, bool [N]."""
        return self.predicted == self.labels

    def write(self, directory: Path) -> None:
        """Write the file of a run directory."""
        import numpy as np

        arrays: dict[str, Any] = {
            "confidence": self.confidence.astype(np.float32),
            "predicted": self.predicted.astype(np.int64),
            "labels": self.labels.astype(np.int64),
        }
        write_atomic(directory / FILE, lambda file: np.savez_compressed(file, **arrays), durable=True)


def read_val_predictions(directory: Path) -> ValPredictions | None:
    """Return what a run directory holds; None where there is no such file. UserError where it is damaged."""
    import numpy as np

    path = directory / FILE
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = ValPredictions(*(arrays[name] for name in ("confidence", "predicted", "labels")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise UserError(f"{path} is damaged ({error}): remove it and write it again by task=evaluate") from error
    if len({len(found.confidence), len(found.predicted), len(found.labels)}) != 1 or len(found.labels) == 0:
        raise UserError(f"{path} is damaged (its arrays don't fit): remove it and write it again by task=evaluate")
    return found
