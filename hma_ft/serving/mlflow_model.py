"""A trained method as an MLflow model: `mlflow models serve` answers an image with class probabilities.

The folder is complete: weights, configuration and this package, so that it is served where neither the run directory
nor the data set is. Column `image` of the input holds the base64 text of an image file of any kind that `decode`
reads; a row of the answer has `class`, `probability` and `probabilities` by class name.
"""

import base64
import binascii
import importlib.metadata
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from hma_ft.config.schema import Config, Precision
from hma_ft.data.decode import UndecodableError, decode_content
from hma_ft.data.transforms import EvalTransform
from hma_ft.engine.autocast import autocast
from hma_ft.errors import UserError
from hma_ft.export.own_layout import Loaded, load_own_layout, recorded_precision, write_own_layout
from hma_ft.methods.base import Method
from hma_ft.mlflow_sync.artifacts import MODEL

if TYPE_CHECKING:
    import pandas as pd

IMAGE_COLUMN = "image"
BATCH = 32
_REQUIREMENTS = ("torch", "torchvision", "timm", "safetensors", "omegaconf", "pillow", "numpy", "pandas")


def write_mlflow_model(
    directory: Path, method: Method, config: Config, *, transform: EvalTransform, class_names: list[str]
) -> None:
    """Write the model of a run, its weights being in `method`, below the run directory; replaces an older one.

    Raises:
        UserError: the disk refuses.
    """
    try:
        with TemporaryDirectory(dir=directory, prefix=".mlflow_model-") as temporary:
            _save(Path(temporary), method, config, transform, class_names)
            target = directory / MODEL
            if target.exists():
                shutil.rmtree(target)
            (Path(temporary) / "model").rename(target)
    except OSError as error:
        raise UserError(
            f"the MLflow model can't be written to {directory} ({error}): make room and give the same command again"
        ) from error


def _save(folder: Path, method: Method, config: Config, transform: EvalTransform, class_names: list[str]) -> None:
    """The MLflow model as `folder`/model."""
    import mlflow.pyfunc  # takes seconds

    weights = folder / "weights"
    weights.mkdir()
    write_own_layout(weights, method, config=config, transform=transform, class_names=class_names)
    mlflow.pyfunc.save_model(
        folder / "model",
        loader_module=__name__,
        data_path=weights,
        code_paths=[str(Path(__file__).resolve().parents[1])],
        signature=_signature(),
        pip_requirements=[f"{name}=={_version(name)}" for name in ("mlflow", *_REQUIREMENTS)],
        metadata={"method": config.method.name, "dataset": config.dataset.name},
    )


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Map

    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, IMAGE_COLUMN)]),
        outputs=Schema(
            [
                ColSpec(DataType.string, "class"),
                ColSpec(DataType.double, "probability"),
                ColSpec(Map(DataType.double), "probabilities"),
            ]
        ),
    )


def _version(package: str) -> str:
    """Without the local part (`+cpu`), which the index does not have."""
    return importlib.metadata.version(package).partition("+")[0]


def _load_pyfunc(data_path: str) -> "ImageClassifier":
    """What MLflow calls by this name, with the folder of weights."""
    folder = Path(data_path)
    return ImageClassifier(load_own_layout(folder), recorded_precision(folder))


class ImageClassifier:
    """What MLflow calls to predict."""

    def __init__(self, loaded: Loaded, precision: Precision) -> None:
        """`precision`: that of the run, as in `task=predict`."""
        self.loaded = loaded
        self.precision = precision

    def predict(self, table: "pd.DataFrame", params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """One row an image. Raises MlflowException, answered as a bad request, for what is no image."""
        import pandas as pd

        method, transform, names = self.loaded
        images = torch.stack([transform(_image(text, transform.upright)) for text in table[IMAGE_COLUMN]])
        with torch.no_grad(), method.inference(method.inference_modes()[0]):
            with autocast(images.device, self.precision):
                logits = [method(part).logits for part in images.split(BATCH)]
            rows = torch.cat(logits).float().softmax(1)
        best = rows.max(dim=1)
        return pd.DataFrame(
            {
                "class": [names[index] for index in best.indices.tolist()],
                "probability": best.values.tolist(),
                "probabilities": [dict(zip(names, row, strict=True)) for row in rows.tolist()],
            }
        )


def _image(text: str, upright: bool) -> torch.Tensor:
    """uint8 [3, H, W] of an image file in base64."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

    try:
        return decode_content(base64.b64decode(text, validate=True), upright=upright)
    except (binascii.Error, UndecodableError) as error:
        raise MlflowException(
            f"column {IMAGE_COLUMN}: cannot decode the image that was sent ({error}): send the base64 text of an "
            "image file",
            error_code=INVALID_PARAMETER_VALUE,
        ) from error
