"""The training loop. It knows steps, evaluations and checkpoints; it never asks which method it trains."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial

import torch
from accelerate import Accelerator
from torch import Tensor

from hma_ft.config.schema import SchedulerConfig, Selection, TrainerConfig
from hma_ft.engine.checkpoint_manager import CheckpointManager
from hma_ft.engine.costs import CostClock, Spent
from hma_ft.engine.inputs import MicroBatch
from hma_ft.engine.metrics import Metrics
from hma_ft.engine.schedule import learning_rate_factor
from hma_ft.engine.signals import StopRequest
from hma_ft.engine.train_logger import TrainLogger
from hma_ft.engine.train_state import TrainState
from hma_ft.engine.train_step import TrainStep
from hma_ft.errors import Interrupted, UserError

SHOWN_IDS = 8  # of the samples of a step without a finite loss


def train(
    train_step: TrainStep,
    steps: Iterable[Sequence[MicroBatch]],
    evaluate_val: Callable[[], Metrics] | None,
    train_logger: TrainLogger,
    checkpoints: CheckpointManager,
    state: TrainState,
    stop: StopRequest,
    clock: CostClock,
    *,
    config: TrainerConfig,
    schedule: SchedulerConfig,
) -> None:
    """Train from `state.step` to `config.max_steps`, or to where patience ends; `state` says where the run stands.

    `evaluate_val` evaluates the val split with the weights that the method holds; None: the last weights are kept
    without it. `clock` counts into the costs of `state`. Raises Interrupted after a signal, once a checkpoint is
    written, and UserError if a loss is not finite.
    """
    with stop.deferred(), clock.on(Spent.training):
        evaluate = partial(
            _evaluate, train_step, evaluate_val, train_logger, checkpoints, state, stop, clock, config=config
        )
        if _evaluation_due(state, config):  # of a run that was cut off in this evaluation
            evaluate()
        if _patience_ended(state, config):  # of a run that was cut off behind it
            train_logger.say_stopped(state, config, learning_rate_factor(schedule, state.step - 1, config.max_steps))
            return
        pending_finite_check: Callable[[], None] | None = None
        for micro_batches in steps:
            factor = learning_rate_factor(schedule, state.step, config.max_steps)
            loss = train_step.step(micro_batches, step=state.step, learning_rate_factor=factor)
            state.step += 1
            if pending_finite_check is not None:  # one step late, so that the device need not wait for the check
                pending_finite_check()
            pending_finite_check = partial(_require_finite, state.step, loss, train_step.own_loss, micro_batches)

            evaluates = _evaluation_due(state, config)
            logs = evaluates or state.step % config.log_every == 0 or state.step == 1
            stopping = _asked_to_stop(stop, train_step.accelerator, logs)
            if logs or stopping or checkpoints.due(evaluated=False):
                pending_finite_check()  # waits for the device
                clock.update()
            if logs:
                train_logger.log_train(
                    state, loss.item(), top1=train_step.batch_top1(), learning_rate=train_step.learning_rate
                )
            if stopping:
                _checkpoint(train_step, train_logger, checkpoints, state, clock)
                checkpoints.wait()
                stop.leave_if_asked()
            if evaluates:
                evaluate()
                if _patience_ended(state, config) and state.step < config.max_steps:
                    train_logger.say_stopped(state, config, factor)
                    break
            elif checkpoints.due(evaluated=False):
                _checkpoint(train_step, train_logger, checkpoints, state, clock)
        # a signal during the last checkpoint: the end of the run may take longer than whoever sent it will wait
        if stop.agreed(train_step.accelerator):
            checkpoints.wait()
            stop.leave_if_asked()


def _evaluation_due(state: TrainState, config: TrainerConfig) -> bool:
    """Whether val is to be evaluated after this step and was not yet."""
    on_the_way = config.select is Selection.best and state.step % config.eval_every == 0
    scheduled = on_the_way or state.step == config.max_steps
    return state.step > 0 and scheduled and state.evaluated_step != state.step


def _patience_ended(state: TrainState, config: TrainerConfig) -> bool:
    """Whether the last evaluations, as many as `config.patience`, were no better than one before them."""
    if config.patience is None or state.evaluated_step != state.step or state.step == 0:
        return False
    evaluations = -(-(state.step - state.best_step) // config.eval_every)  # that of the last step may come early
    return evaluations >= config.patience


def _evaluate(
    train_step: TrainStep,
    evaluate_val: Callable[[], Metrics] | None,
    train_logger: TrainLogger,
    checkpoints: CheckpointManager,
    state: TrainState,
    stop: StopRequest,
    clock: CostClock,
    *,
    config: TrainerConfig,
) -> None:
    """Evaluate val, keep the weights if they are the best, or without val; write a checkpoint where one is due.

    A signal cuts the evaluation short: it changes nothing, so the checkpoint is that of the step before it. Several
    processes finish it, as they can't all leave a collective operation at the same point.
    """
    clock.update()
    if evaluate_val is None:
        with train_step.evaluated_weights(), clock.on(Spent.nothing):
            state.best_step = state.evaluated_step = state.step
            checkpoints.keep_best(train_step.method, state, train_step.frozen_digest)
        _checkpoint(train_step, train_logger, checkpoints, state, clock)
        return
    before = dataclasses.replace(state.costs)
    interruptible = stop.at_once() if train_step.accelerator.num_processes == 1 else nullcontext()
    with train_step.evaluated_weights():
        try:
            with interruptible, clock.on(Spent.evaluation):
                metrics = evaluate_val()
        except Interrupted:
            metrics = None
        if metrics is not None and state.improves(metrics):
            state.best_step, state.best_top1, state.best_loss = state.step, metrics.top1, metrics.nll
            with clock.on(Spent.nothing):
                checkpoints.keep_best(train_step.method, state, train_step.frozen_digest)
    if metrics is not None:
        state.evaluated_step = state.step
        train_logger.log_val(state, metrics)
    else:  # it will be done again
        state.costs = before
        clock.go_on_from(before)
    ends = state.step == config.max_steps or _patience_ended(state, config)
    if metrics is None or ends or checkpoints.due(evaluated=True):
        _checkpoint(train_step, train_logger, checkpoints, state, clock)
    if metrics is None:
        checkpoints.wait()
        stop.leave_if_asked()


def _checkpoint(
    train_step: TrainStep,
    train_logger: TrainLogger,
    checkpoints: CheckpointManager,
    state: TrainState,
    clock: CostClock,
) -> None:
    with clock.on(Spent.nothing):
        checkpoints.save(train_step, state)
    train_logger.go_on_from(state.step)


def _asked_to_stop(stop: StopRequest, accelerator: Accelerator, logs: bool) -> bool:
    """Several processes agree at the steps that log only: asking makes the device wait."""
    return stop.agreed(accelerator) if accelerator.num_processes == 1 or logs else False


def _require_finite(step: int, loss: Tensor, own_loss: Tensor, micro_batches: Sequence[MicroBatch]) -> None:
    """A loss that is not finite on one process ends all; the one whose share it was names the samples."""
    if not torch.isfinite(loss):
        if torch.isfinite(own_loss):
            raise UserError(f"the loss of step {step} is {loss.item()}: another process names the samples")
        ids = torch.cat([batch.ids.reshape(len(batch.ids), -1)[:, 0] for batch in micro_batches]).tolist()
        shown = ", ".join(map(str, ids[:SHOWN_IDS])) + (f", ... ({len(ids)})" if len(ids) > SHOWN_IDS else "")
        raise UserError(
            f"the loss of step {step} is {own_loss.item()}: lower optimizer.lr, set trainer.clip_grad_norm or, in a "
            f"lower precision, use trainer.precision=fp32; ids of the batch's training samples: {shown}"
        )
