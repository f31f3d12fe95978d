"""N processes with b images each are one process with N * b: logits, gradients, queue and weights, to 1e-9."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hma_ft.config.schema import PeftConfig
from tests.distributed.training import BATCH, STEPS, Case, diverge, train
from tests.ports import free_port
from tests.processes import fork_context

pytestmark = [pytest.mark.distributed, pytest.mark.slow]
EXACT = {"rtol": 0.0, "atol": 1e-9}


def run(world_size: int, folder: Path, case: Case, *, target: Callable[..., None] = train) -> list[dict[str, Any]]:
    """What each rank saw."""
    folder.mkdir()
    port = free_port()
    processes = [
        fork_context().Process(target=target, args=(rank, world_size, port, folder, case)) for rank in range(world_size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    return [torch.load(folder / f"rank-{rank}.pt", weights_only=True) for rank in range(world_size)]


def logits(ranks: list[dict[str, Any]]) -> list[Tensor]:
    """Logits of each forward pass, all ranks' rows in their order."""
    return [torch.cat(parts) for parts in zip(*(rank["logits"] for rank in ranks), strict=True)]


LORA = PeftConfig(
    "lora", "hma_ft.peft.lora.add_lora", options={"rank": 2, "alpha": 8.0, "dropout": 0.0, "targets": ["q", "v"]}
)
ADAPTFORMER = PeftConfig(
    "adaptformer",
    "hma_ft.peft.adaptformer.add_adaptformer",
    options={"bottleneck": 4, "scale": 1.0, "dropout": 0.0},
)


def whole_steps(parts: list[Tensor], micro_batches: int) -> list[Tensor]:
    """The logits of each step, out of those of its micro-batches."""
    return [torch.cat(parts[first : first + micro_batches]) for first in range(0, len(parts), micro_batches)]


@pytest.mark.parametrize(
    "case",
    [
        *(Case(), Case(mixup=True), Case(mixup=True, micro_batches=2, batch_attention=False), Case(momentum=0.0)),
        *(Case(peft=LORA), Case(peft=ADAPTFORMER, micro_batches=2, batch_attention=False)),
    ],
    ids=["hard labels", "mixup", "mixup in two micro-batches", "live features", "LoRA", "AdaptFormer"],
)
def test_many_are_one(tmp_path: Path, case: Case) -> None:
    (one,) = run(1, tmp_path / "one", dataclasses.replace(case, micro_batches=1))
    assert one["weights"]["head.real_memory.filled"].all()
    assert int(one["weights"]["head.real_memory.pointer"]) == STEPS * BATCH % 40
    idle = [g for g in one["gradients"][-1] if g.abs().max() < 1e-6]
    assert len(idle) <= 2  # biases of the keys, to which a softmax is blind; all others take part
    for world_size in (1, 2, 4) if case.micro_batches > 1 else (2, 4):
        many = run(world_size, tmp_path / str(world_size), case)
        torch.testing.assert_close(whole_steps(logits(many), case.micro_batches), one["logits"], **EXACT)
        for rank in many:
            for name in ("gradients", "weights", "average", "losses", "top1"):
                torch.testing.assert_close(rank[name], one[name], **EXACT)


def test_a_loss_that_is_not_finite_on_one_rank_is_known_to_all(tmp_path: Path) -> None:
    first, second = run(2, tmp_path / "two", Case(mixup=True), target=diverge)
    assert first["loss"].isnan() and second["loss"].isnan()
    assert first["own"].isfinite() and second["own"].isnan()
