"""One optimizer step."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.optim import Optimizer

from hma_ft.engine.ema import ModelEma
from hma_ft.engine.inputs import MicroBatch
from hma_ft.engine.optimizer import set_learning_rate
from hma_ft.engine.randomness import seed_torch
from hma_ft.engine.state import FROZEN_DIGEST, digest_of_frozen, load_trainable_state_dict, trainable_state_dict
from hma_ft.methods.base import Method, MicroBatchOutput


class TrainStep:
    """A method with its optimizer and, if asked for, the average of its weights.

    `method` is the plain module; the forward pass goes through Accelerate's wrapper of it.
    """

    def __init__(
        self,
        method: Method,
        optimizer: Optimizer,
        accelerator: Accelerator,
        *,
        seed: int,
        clip_grad_norm: float | None = None,
        ema_decay: float | None = None,
    ) -> None:
        self.method = method
        self.accelerator = accelerator
        self.seed = seed
        self.clip_grad_norm = clip_grad_norm
        self.average = None if ema_decay is None else ModelEma(method, ema_decay)
        self.model, self.optimizer = accelerator.prepare(method, optimizer)
        self.frozen_digest = digest_of_frozen(method)
        self.own_loss = torch.tensor(torch.nan)
        self._predicted: list[tuple[Tensor, Tensor]] = []  # logits and targets of the last step

    def step(self, micro_batches: Sequence[MicroBatch], *, step: int, learning_rate_factor: float) -> Tensor:
        """Train on one global batch and return its loss [] over all processes, still on the device.

        `step` is the number of steps before. `own_loss` is then that of this process's share.

        Order matters: the memories take in the batch after it was read and before the weights move. Raises ValueError
        for several micro-batches of a method that needs the whole batch.
        """
        if len(micro_batches) > 1 and self.method.needs_whole_batch:
            raise ValueError(f"{type(self.method).__name__} reads the whole batch: micro-batches would narrow it")
        self.method.enter_mode(training=True)
        set_learning_rate(self.optimizer, learning_rate_factor)
        observations, losses = [], []
        for number, batch in enumerate(micro_batches):
            seed_torch(self.seed, "step", step, number, self.accelerator.process_index)
            last = number == len(micro_batches) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                output = self.model(batch.inputs, batch.ids)
                with self.accelerator.autocast():
                    loss = self.method.loss(output, batch.targets)
                self.accelerator.backward(loss / len(micro_batches))
            losses.append(loss.detach())
            observations.append(MicroBatchOutput(batch.inputs, output, batch.targets, batch.ids))
        self._predicted = [(seen.output.logits.detach(), seen.targets) for seen in observations]
        if self.clip_grad_norm is not None:
            self.accelerator.clip_grad_norm_(self.method.parameters(), self.clip_grad_norm)
        with self.accelerator.autocast():
            self.method.after_backward(observations)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update(step + 1)
        self.own_loss = torch.stack(losses).mean()
        return self._mean_of_processes(self.own_loss)

    @property
    def learning_rate(self) -> float:
        """Learning rate of the group that has the highest, the head's."""
        return max(group["lr"] for group in self.optimizer.param_groups)

    def batch_top1(self) -> float:
        """Fraction of the last step's images, of all processes, whose likeliest target was predicted; all must ask."""
        logits, targets = (torch.cat(part) for part in zip(*self._predicted, strict=True))
        likeliest = targets if targets.ndim == 1 else targets.argmax(1)
        return float(self._mean_of_processes((logits.argmax(1) == likeliest).float().mean()))

    def _mean_of_processes(self, value: Tensor) -> Tensor:
        """Their shares of a batch are equal."""
        return self.accelerator.reduce(value, "mean") if self.accelerator.num_processes > 1 else value

    def evaluated_weights(self) -> Any:
        """A context in which the method holds the weights that are evaluated: the average if there is one."""
        return nullcontext() if self.average is None else self.average.swapped_in()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        scaler = self.accelerator.scaler
        return {
            "method": trainable_state_dict(self.method),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            FROZEN_DIGEST: self.frozen_digest,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        load_trainable_state_dict(self.method, state["method"], state[FROZEN_DIGEST])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
