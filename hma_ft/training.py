"""What a run does: assemble, train or fit, choose on val, read test once."""

import sys
from contextlib import nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, broadcast_object_list

from hma_ft.build import RunComponents, assemble, load_best
from hma_ft.config.schema import Config, DatasetConfig, HeadInit
from hma_ft.data.description import changed_splits
from hma_ft.data.equal_images import in_one_line
from hma_ft.data.splits import Splits
from hma_ft.engine import checkpoint
from hma_ft.engine.checkpoint_manager import CheckpointManager
from hma_ft.engine.costs import CostClock, Spent, seconds_since_start
from hma_ft.engine.final_evaluation import evaluate_and_record
from hma_ft.engine.metrics import Metrics, evaluate_predictions
from hma_ft.engine.optimizer import create_optimizer
from hma_ft.engine.profiling import profiled
from hma_ft.engine.signals import StopRequest
from hma_ft.engine.state import digest_of_frozen
from hma_ft.engine.train import train
from hma_ft.engine.train_logger import TrainLogger
from hma_ft.engine.train_state import TrainState
from hma_ft.engine.train_step import TrainStep
from hma_ft.errors import UserError
from hma_ft.methods.base import LabelledFeatures
from hma_ft.methods.class_balance import ClassBalance
from hma_ft.methods.head_init import start_head
from hma_ft.mlflow_sync.logger import MlflowLogger
from hma_ft.names import enumerated
from hma_ft.reporting.console import Progress
from hma_ft.rundir.record import RunRecord
from hma_ft.training_steps import training_steps


def train_and_test(
    config: Config,
    accelerator: Accelerator,
    directory: Path,
    record: RunRecord | None,
    mlflow_logger: MlflowLogger | None,
    stop: StopRequest,
) -> None:
    """Run to the result. Processes without a record (rank > 0) take part and write nothing."""
    components = assemble(config, accelerator)
    if components.splits.trains_on_val and (components.method.fits or components.method.calibrates):
        raise UserError(f"trainer.select=last trains on val, and method={config.method.name} chooses there: set best")
    progress = None
    _record_data(record, components.splits, config.dataset)
    if record is not None:
        progress = Progress(config.trainer.max_steps)
    train_logger = TrainLogger(record, progress, batch_size=config.trainer.batch_size)
    checkpoints = CheckpointManager(
        record,
        mlflow_logger,
        minutes=config.trainer.checkpoint_minutes,
        in_background=accelerator.device.type == "cuda",
    )
    val_metrics: Metrics | None = None
    with checkpoints, progress or nullcontext():
        if components.method.fits:
            state, val_metrics = _fit(components, train_logger, checkpoints)
        else:
            state = _train(config, accelerator, components, directory, train_logger, checkpoints, stop)
    best = [state.best_file]
    broadcast_object_list(best)  # rank 0 knows it
    load_best(directory, components.method, best[0])
    if components.method.calibrates:
        _calibrate(components, state, checkpoints)
    evaluate_and_record(
        components.evaluator,
        components.method,
        components.splits,
        state,
        record,
        batch_size=config.trainer.batch_size,
        wall_seconds=lambda: checkpoints.wall_seconds,
        val_metrics=val_metrics,
    )
    checkpoints.keep_support(components.method, components.splits.train, state.best_step)
    if record is not None and config.tracking.mlflow and config.tracking.log_weights:
        from hma_ft.serving.mlflow_model import write_mlflow_model  # MLflow comes with it

        write_mlflow_model(
            directory,
            components.method,
            config,
            transform=components.eval_transform,
            class_names=components.splits.class_names,
        )


def _record_data(record: RunRecord | None, splits: Splits, config: DatasetConfig) -> None:
    """Write data.json, and warn of images that splits share. UserError where the run began with other images."""
    problem: list[str | None] = [None]
    if record is not None:
        changed = changed_splits(record.read_data(), splits.description)
        if changed and checkpoint.exists(record.path("checkpoints"), kind="step"):
            problem = [
                f"the {enumerated(changed)} images of {config.name} below dataset.root={config.root} are not those "
                "that this run began with: bring those back, or start over with fresh=true"
            ]
    broadcast_object_list(problem)  # rank 0 knows the record
    if problem[0] is not None:
        raise UserError(problem[0])
    if record is not None:
        record.write_data(splits.description | {"class_names": splits.class_names})
        for note in splits.notes:
            print(f"data: {note}", flush=True)
        shared = in_one_line(splits.equal_images, {name: len(samples) for name, samples in splits.by_name.items()})
        if shared is not None:
            print(f"warning: {shared}", file=sys.stderr)


def _train(
    config: Config,
    accelerator: Accelerator,
    components: RunComponents,
    directory: Path,
    train_logger: TrainLogger,
    checkpoints: CheckpointManager,
    stop: StopRequest,
) -> TrainState:
    """Train by steps, from the newest checkpoint if there is one."""
    splits = components.splits
    labels = splits.train.labels if splits.seen_in_training is None else splits.train.labels[splits.seen_in_training]
    components.method.balance = ClassBalance.create(labels, len(splits.class_names), config.trainer, accelerator.device)
    train_step = TrainStep(
        components.method,
        create_optimizer(components.method, config.optimizer),
        accelerator,
        seed=config.seed,
        clip_grad_norm=config.trainer.clip_grad_norm,
        ema_decay=config.trainer.ema_decay,
    )
    state = checkpoints.resume(train_step, directory)
    train_logger.go_on_from(state.step)
    clock = _started_clock(components, state)
    if state.step == 0:
        with clock.on(Spent.training):
            _start(components, config.method.head_init)
        if train_step.average is not None:
            train_step.average.restart()
    steps = training_steps(config, accelerator, components, clock, start_step=state.step)
    profiles = min(config.trainer.profile_steps, config.trainer.max_steps - state.step)
    if profiles and accelerator.is_main_process:
        steps = profiled(steps, directory, first=config.trainer.max_steps - state.step - profiles, count=profiles)
    train(
        train_step,
        steps,
        None if components.splits.trains_on_val else lambda: _evaluate_val(components),
        train_logger,
        checkpoints,
        state,
        stop,
        clock,
        config=config.trainer,
        schedule=config.scheduler,
    )
    return state


def _started_clock(components: RunComponents, state: TrainState) -> CostClock:
    """The run's clock, which counts into the costs of `state`, with this start's way from the command to here."""
    clock = components.evaluator.clock
    clock.go_on_from(state.costs)
    clock.count(Spent.start, seconds_since_start())
    return clock


def _start(components: RunComponents, head_init: HeadInit) -> None:
    """Bring the method the training features that it begins with, if any, and start its head."""
    needed = components.method.memory_init_indices(components.splits.train.labels, components.splits.seen_in_training)
    if needed is not None:
        components.method.init_memory(components.evaluator.features("train", needed))
    head = components.method.trained_linear_head()
    if head_init is not HeadInit.none and head is not None:
        seen = components.evaluator.features("train", components.splits.seen_in_training)
        start_head(head, head_init, seen, components.evaluator.features("val"))
        broadcast([head.weight.data, head.bias.data])  # processes may have rounded in different ways


def _fit(
    components: RunComponents, train_logger: TrainLogger, checkpoints: CheckpointManager
) -> tuple[TrainState, Metrics]:
    """Fit a method in one pass over the features of train and val; the metrics are those before a refit."""
    evaluator, state = components.evaluator, TrainState()
    if train_logger.record is not None:
        train_logger.record.update_status(max_steps=0)  # no table shall show steps that nobody takes
    clock = _started_clock(components, state)
    with clock.on(Spent.training):
        seen, later = _seen_and_held_out(components)
        components.method.fit(seen, evaluator.features("val"), later)
    with clock.on(Spent.evaluation):
        metrics = _evaluate_val(components)
    state.best_top1, state.best_loss = metrics.top1, metrics.nll
    train_logger.log_val(state, metrics)
    if components.method.learns_from_val:
        with clock.on(Spent.training):
            components.method.refit(seen, evaluator.features("val"))
    checkpoints.keep_best(components.method, state, digest_of_frozen(components.method))
    return state, metrics


def _calibrate(components: RunComponents, state: TrainState, checkpoints: CheckpointManager) -> None:
    """Let the method, with the weights that val chose, choose on val what it reads with them, and save that too.

    A run that is cut off here begins again with the weights as they were trained: the checkpoint names their file.
    """
    method, evaluator = components.method, components.evaluator
    labels, seen = components.splits.train.labels, components.splits.seen_in_training
    later = labels[:0] if seen is None else labels[~torch.isin(labels, labels[seen])].unique()
    with evaluator.clock.on(Spent.training):
        evaluator.prepare_inference(method.inference_modes()[0])
        method.enter_mode(training=False)
        val = evaluator.features("val")
        with evaluator.autocast():  # as val and test are predicted
            method.calibrate(val, later)
    checkpoints.keep_best(method, state, digest_of_frozen(method))
    checkpoints.wait()


def _seen_and_held_out(components: RunComponents) -> tuple[LabelledFeatures, LabelledFeatures | None]:
    """Training features of the classes that are learned, and of those that come later, if any."""
    train, seen_in_training = components.evaluator.features("train"), components.splits.seen_in_training
    if seen_in_training is None:
        return train, None
    known = torch.zeros(len(train.labels), dtype=torch.bool)
    known[seen_in_training] = True
    return train.chosen(known), train.chosen(~known)


def _evaluate_val(components: RunComponents) -> Metrics:
    """Val in the headline mode."""
    predictions = components.evaluator.predict("val", components.method.inference_modes()[0])
    return evaluate_predictions(predictions.probabilities, predictions.labels, components.splits.class_names)
