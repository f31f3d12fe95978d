"""The one way to open a finished run, for every task and tool that reads one.

The run's own settings decide how it is read: precision, memory format, compilation, batch size of evaluation. The
command decides what can't be the run's any more: the device, the loader's processes, and where the data set and the
pretrained weights lie now. To predict takes no data set: what a method reads of training images is in its weights.
"""

import dataclasses
import json
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hma_ft.build import (
    build_backbone,
    build_method,
    create_eval_transform,
    create_evaluator,
    feature_stores,
    prepare_for_device,
)
from hma_ft.config.frozen import load_config
from hma_ft.config.schema import Config
from hma_ft.data.content_index import ContentIndex
from hma_ft.data.description import changed_splits, describe
from hma_ft.data.splits import Splits, load_splits
from hma_ft.engine import checkpoint
from hma_ft.engine.distributed import create_evaluation_accelerator
from hma_ft.engine.evaluate import Evaluator
from hma_ft.engine.held_images import HELD_IMAGES, HeldImages, held_images
from hma_ft.engine.predictor import Predictor
from hma_ft.engine.repeatability import Arithmetic, arithmetic_here, recorded_arithmetic
from hma_ft.engine.state import FROZEN_DIGEST, NOTHING_FROZEN, load_support_state, load_trainable_state_dict
from hma_ft.errors import UserError
from hma_ft.files.lock import is_held
from hma_ft.methods.base import Method
from hma_ft.open_options import OpenOptions, config_in_force, ignored_keys, options_of
from hma_ft.rundir.record import read_data
from hma_ft.rundir.result import read_result
from hma_ft.rundir.status import State, read_status

_EARLIER = "an earlier version made it, which did not save what it reads of training images"


class FinishedRun:
    """A finished run with the weights that val chose, in evaluation mode.

    Attributes:
        directory: the run directory.
        recorded: the run's configuration, as it was made.
        config: the configuration in force here: paths as they are now, device, loader processes, compilation.
        env: env.json, of the machine that the run was made on.
        data: data.json.
        result: result.json.
        method: the model on the device.
        transform: the transform of evaluation.
        predictor: from images to probabilities, in the run's precision.
    """

    def __init__(self, directory: Path, options: OpenOptions) -> None:
        """Open the run.

        Raises:
            UserError: not the directory of a finished run, a damaged one, or pretrained weights that are not there.
        """
        _require_finished(directory)
        self.directory = directory
        self.env = _read_json(directory / "env.json")
        self.data = read_data(directory)
        self.result = read_result(directory)
        self.recorded = load_config(directory / "config.yaml")
        self._accelerator = create_evaluation_accelerator(options.device)
        self.config = config_in_force(self.recorded, self.env, options, self._accelerator.device)
        self.method = self._load_method()
        self.transform = create_eval_transform(self.config, self.method.backbone)
        self.predictor = Predictor(self.method, self._accelerator, precision=self.config.trainer.precision)

    def _load_method(self) -> Method:
        folder, step = self.directory / "checkpoints", int(self.result["best/step"])
        best = checkpoint.load_step(folder, kind="best", step=step)
        if best is None:
            raise UserError(f"{folder} lacks the chosen weights, those of step {step}: train again with fresh=true")
        whole = best[FROZEN_DIGEST] == NOTHING_FROZEN
        weights = self.config.model.weights
        if not whole and weights is not None and not Path(weights).is_file():
            raise UserError(
                f"run={self.directory} stands on the pretrained weights {weights}, which are not there: say where they "
                "are by model.weights=FILE (weights=FILE for a tool of analysis/)"
            )
        self._support = checkpoint.load_step(folder, kind="support", step=step)
        method = build_method(self.config, build_backbone(self.config, load=not whole), len(self.class_names))
        load_trainable_state_dict(method, best["method"], best[FROZEN_DIGEST])
        if self._support is not None:
            load_support_state(method, self._support["method"])
        method = method.to(self._accelerator.device).eval()
        prepare_for_device(method, self.config.trainer)
        return method

    @cached_property
    def class_names(self) -> list[str]:
        """Names of the classes, in the order of the logits."""
        if "class_names" in self.data:
            return self.data["class_names"]
        try:  # where earlier versions recorded them
            with np.load(self.directory / "predictions.npz", allow_pickle=False) as arrays:
                return arrays["class_names"].tolist()
        except (OSError, ValueError, KeyError):
            return self.splits.class_names

    @property
    def train_size(self) -> int:
        """Number of training images."""
        return self.data["train"] if "train" in self.data else len(self.splits.train)

    @cached_property
    def held_images(self) -> HeldImages:
        """The training images that its memories hold: as saved, or asked of the data set."""
        if self._support is not None:
            return HeldImages(**self._support[HELD_IMAGES])
        self.note(f"{_EARLIER}; the images that its memory holds are recognised by reading the data set")
        return held_images(self.method, self.splits.train)

    @property
    def held_names(self) -> dict[int, str]:
        """Names by id of the training images that its memories hold, as far as they were saved."""
        return {} if self._support is None else HeldImages(**self._support[HELD_IMAGES]).by_id()

    @property
    def modes(self) -> tuple[str, ...]:
        """The method's inference modes, the headline first."""
        return self.method.inference_modes()

    @cached_property
    def splits(self) -> Splits:
        """The data set. UserError where it isn't on this machine; nothing is fetched."""
        dataset, runs = self.config.dataset, self.config.runs_dir
        index = ContentIndex.beside_runs(runs) if Path(runs).is_dir() else None
        try:
            return load_splits(dataset, index=index, select=self.config.trainer.select)
        except UserError as error:
            raise UserError(
                f"run={self.directory} needs its data set {dataset.name} for this ({error}); if it lies elsewhere now, "
                "say where by dataset.root=DIR (dataset_root=DIR for a tool of analysis/)"
            ) from error

    def changed_splits(self) -> list[str]:
        """Which of val and test are not what the run was evaluated on, by the content of their images."""
        splits = {"val": self.splits.val, "test": self.splits.test}
        return changed_splits(self.data, describe(splits, classes=len(self.class_names), seen=None, equal=[]))

    @cached_property
    def evaluator(self) -> Evaluator:
        """The evaluator of the data set's splits."""
        _, store = feature_stores(
            self.config, self._accelerator, self.method, self.splits, autocast=self.predictor.autocast()
        )
        return create_evaluator(
            self.config,
            self._accelerator,
            self.method,
            self.splits,
            self.transform,
            store=store,
            final_weights=True,
        )

    @property
    def arithmetics(self) -> tuple[Arithmetic, Arithmetic]:
        """How the run computed, and how it is computed here."""
        return recorded_arithmetic(self.recorded, self.env), arithmetic_here(self.config, self._accelerator.device)

    @property
    def is_main_process(self) -> bool:
        """Whether this process is the one that prints and writes."""
        return self._accelerator.is_main_process

    def prepare_inference(self, mode: str) -> None:
        """Provide what the mode reads of training images: as saved, or computed where an earlier version saved none."""
        bank = self.method.support_bank(mode)
        if bank is not None and len(bank) == 0:
            self.note(f"{_EARLIER}; its support set of inference {mode} is computed from the training images")
            self.evaluator.prepare_inference(mode)

    def note(self, text: str) -> None:
        """Tell the user something about the run that is no mistake."""
        if self.is_main_process:
            print(f"note: run={self.directory}: {text}", file=sys.stderr)


def open_for_command(
    command: Config, given: frozenset[str], *, directory: str | Path | None = None, **decided: Any
) -> FinishedRun:
    """Open `command.run`, or another directory, as a task's command line says.

    `given` are the keys that the command line names, be it with a default value; `decided` are the OpenOptions that
    the task itself decides.
    """
    options = dataclasses.replace(options_of(command, given), **decided)
    run = FinishedRun(Path(directory or command.run or ""), options)
    if ignored := ignored_keys(given):
        run.note(f"its own settings count, and not the command's {', '.join(ignored)}")
    return run


def _require_finished(directory: Path) -> None:
    status = read_status(directory)
    if status is None or status.state is not State.finished:
        if status is None:
            state = "is not a run directory"
        elif status.state is State.running and not is_held(directory):
            state = f"holds a run that was cut off at step {status.step}, and goes on with the same command"
        else:
            state = f"holds a run that is {status.state}"
        raise UserError(f"run={directory} {state}: give the directory of a finished run")


def _read_json(path: Path) -> dict[str, Any]:
    """A file of a run directory. UserError where it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} is missing or damaged ({error}): restore it, or train again with fresh=true"
        ) from error
