"""The whole model as an ONNX graph: uint8 images in, logits out; scaling and normalisation are inside."""

import importlib.util
import json
import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hma_ft.errors import UserError
from hma_ft.methods.base import Method

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
EXTERNAL_BYTES = 1_800_000_000  # a file of protobuf ends at 2 GB; larger weights go beside it
EXAMPLE_BATCH = 2  # any but 1, which torch.export takes for a constant


def require_packages() -> None:
    """UserError with the command that installs what is missing; quick."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"task=export needs {', '.join(missing)}: pip install -c constraints.txt '.[export]'")


class _Logits(nn.Module):
    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, images: Tensor) -> Tensor:
        return self.method(images).logits


def write_onnx(path: Path, method: Method, mode: str, *, images: Tensor, facts: dict[str, Any]) -> None:
    """Write the graph of one inference mode; `images`: uint8 [2 or more, 3, S, S], an example on the CPU.

    Input `images` uint8 [batch, 3, S, S], output `logits` float32 [batch, C], any batch. Memories are constants of the
    graph, projected. `facts` become its metadata, as JSON.
    """
    for name in ("onnx_ir", "onnxscript"):  # a line for every constant that they merge
        logging.getLogger(name).setLevel(logging.WARNING)
    method.eval()
    with torch.no_grad(), method.inference(mode):
        program = torch.onnx.export(
            _Logits(method).eval(),
            (images[:EXAMPLE_BATCH],),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update({name: json.dumps(value) for name, value in facts.items()})
    size = sum(value.numel() * value.element_size() for value in method.state_dict().values())
    program.save(path, external_data=size > EXTERNAL_BYTES)


@torch.no_grad()
def onnx_difference(path: Path, method: Method, mode: str, images: Tensor) -> float:
    """Largest difference of onnxruntime's logits, one image and all at once; uint8 images [B, 3, S, S]."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with method.eval().inference(mode):
        expected = method(images).logits
    together = torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])
    alone = torch.from_numpy(session.run(["logits"], {"images": images[:1].numpy()})[0])
    return float(torch.cat([together - expected, alone - expected[:1]]).abs().max())
