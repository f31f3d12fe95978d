"""A finished run with its weights, for the tools that look inside."""

from pathlib import Path

from torch import Tensor

from hma_ft.config.schema import Device
from hma_ft.errors import UserError
from hma_ft.finished_run import FinishedRun
from hma_ft.hma import HMAHead
from hma_ft.hma.attention_map import AttentionMap
from hma_ft.open_options import OpenOptions


class Trained(FinishedRun):
    """A finished run whose memory is looked at."""

    @property
    def head(self) -> HMAHead:
        """The memory head. UserError where the run has none, or one without memory."""
        head = getattr(self.method, "head", None)
        if not isinstance(head, HMAHead) or head.labels is None:
            raise UserError(
                f"run={self.directory} (method {self.config.method.name}) has no memory and no attention between "
                "datapoints: give a run of method=hma, hma_head or hma_head_cls"
            )
        return head

    def attention(self, features: Tensor) -> dict[str, AttentionMap]:
        """Where the memory head looks for features [B, D], in the precision of the run and an inference mode."""
        with self.predictor.autocast():
            maps = self.head.attention(features)
        return {block: AttentionMap(found.weights.float(), found.columns) for block, found in maps.items()}


def open_run(
    run: str | None, *, dataset_root: str | None = None, weights: str | None = None, device: str = "auto"
) -> Trained:
    """Open a finished run.

    Raises:
        UserError: no such run, a run that is not finished, or pretrained weights that have moved.
    """
    if run is None:
        raise UserError("run=DIR is missing: give the directory of a finished run")
    if device not in Device.__members__:
        raise UserError(f"device={device} is not known: use one of {', '.join(Device.__members__)}")
    options = OpenOptions(device=Device[device], num_workers=1, dataset_root=dataset_root, weights=weights)
    return Trained(Path(run), options)
