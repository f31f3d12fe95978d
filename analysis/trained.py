"""A finished run with its weights, for the tools that look inside."""

from dataclasses import dataclass
from pathlib import Path

from hma_ft.assembly import Parts, restore
from hma_ft.config.schema import Config, Device
from hma_ft.engine.processes import create_accelerator
from hma_ft.errors import UserError
from hma_ft.hma import HMAHead


@dataclass
class Trained:
    """What `restore` gives, and where it came from."""

    directory: Path
    config: Config
    parts: Parts

    @property
    def class_names(self) -> list[str]:
        """Of the data set."""
        return self.parts.splits.class_names

    @property
    def modes(self) -> tuple[str, ...]:
        """The method's inference modes, the headline first."""
        return self.parts.method.inference_modes()

    @property
    def head(self) -> HMAHead:
        """The memory head. UserError where the run has none, or one without memory."""
        head = getattr(self.parts.method, "head", None)
        if not isinstance(head, HMAHead) or head.labels is None:
            raise UserError(
                f"run={self.directory} (method {self.config.method.name}) has no memory and no attention between "
                "datapoints: give a run of method=hma, hma_head or hma_head_cls"
            )
        return head


def open_run(
    run: str | None, *, dataset_root: str | None = None, weights: str | None = None, device: str = "auto"
) -> Trained:
    """Restore a finished run in evaluation mode.

    Raises:
        UserError: no such run, a run that is not finished, or data or weights that have moved.
    """
    if run is None:
        raise UserError("run=DIR is missing: give the directory of a finished run")
    if device not in Device.__members__:
        raise UserError(f"device={device} is not known: use one of {', '.join(Device.__members__)}")
    command = Config(run=run)
    command.trainer.device = Device[device]
    command.trainer.workers = 1
    command.model.weights = weights
    if dataset_root is not None:
        command.dataset.root = dataset_root
    config, parts = restore(command, create_accelerator(command.trainer))
    parts.method.eval()
    return Trained(Path(run), config, parts)
