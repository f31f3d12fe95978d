"""A few steps of HMA as one of several processes, in float64; what they came to is saved for the parent to compare."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from hma_ft.backbone.create import create_backbone
from hma_ft.build import build_method
from hma_ft.config.schema import (
    AugmentConfig,
    BackboneTuning,
    Config,
    DatasetConfig,
    Device,
    HMAConfig,
    MethodConfig,
    ModelConfig,
    OptimizerConfig,
    PeftConfig,
    RealMemoryConfig,
    SyntheticMemoryConfig,
    TrainerConfig,
)
from hma_ft.data.loading import load_views
from hma_ft.data.splits import load_splits
from hma_ft.data.views import ViewSeeds, training_views
from hma_ft.engine.distributed import create_accelerator
from hma_ft.engine.inputs import image_steps
from hma_ft.engine.optimizer import create_optimizer
from hma_ft.engine.randomness import seed_torch
from hma_ft.engine.train_step import TrainStep

STEPS = 4
BATCH = 16  # of all processes
CLASSES = 10


@dataclass(frozen=True)
class Case:
    """What is trained."""

    mixup: bool = False
    micro_batches: int = 1
    momentum: float = 0.9
    batch_attention: bool = True
    peft: PeftConfig = field(default_factory=PeftConfig)  # with a target, the rest of the backbone is frozen


def configuration(case: Case) -> Config:
    """HMA with everything on; the queue is filled and overwritten within the steps, dropout would differ by rank."""
    options = {"patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2}
    return Config(
        seed=3,
        model=ModelConfig(name="vit_tiny_patch16_224", pretrained=False, image_size=16, options=options),
        method=MethodConfig(
            backbone=BackboneTuning.full if case.peft.target is None else BackboneTuning.frozen,
            peft=case.peft,
            hma=HMAConfig(
                label_width=8,
                heads=2,
                dropout=0.0,
                batch_attention=case.batch_attention,
                real=RealMemoryConfig(size=40, momentum=case.momentum),
                synthetic=SyntheticMemoryConfig(slots=2),
            ),
        ),
        dataset=DatasetConfig(name="digits", target="hma_ft.data.datasets.digits.Digits"),
        optimizer=OptimizerConfig(lr=0.05),
        augment=AugmentConfig(image_size=16, mixup_alpha=0.4 if case.mixup else 0.0),
        trainer=TrainerConfig(batch_size=BATCH, grad_accumulation=case.micro_batches, device=Device.cpu),
    )


def train(rank: int, world_size: int, port: int, folder: Path, case: Case) -> None:
    """STEPS steps as process `rank`; writes rank-RANK.pt."""
    accelerator, train_step = _started(rank, world_size, port, case)
    seen = _Recorder(train_step)
    for step, micro_batches in enumerate(_steps(configuration(case), rank, world_size)):
        loss = train_step.step(micro_batches, step=step, learning_rate_factor=1.0)
        seen.values["losses"].append(loss.clone())
        seen.values["top1"].append(train_step.batch_top1())
    seen.values["weights"] = dict(train_step.method.state_dict())
    seen.values["average"] = train_step.average.state_dict() if train_step.average is not None else {}
    torch.save(seen.values, folder / f"rank-{rank}.pt")
    accelerator.end_training()


def diverge(rank: int, world_size: int, port: int, folder: Path, case: Case) -> None:
    """One step in which the targets of rank 1 are not finite; writes the losses that `rank` knows."""
    accelerator, train_step = _started(rank, world_size, port, case)
    (batch,) = next(iter(_steps(configuration(case), rank, world_size)))
    if rank == 1:
        batch = batch._replace(targets=batch.targets * torch.nan)
    loss = train_step.step([batch], step=0, learning_rate_factor=1.0)
    torch.save({"loss": loss.clone(), "own": train_step.own_loss}, folder / f"rank-{rank}.pt")
    accelerator.end_training()


def _started(rank: int, world_size: int, port: int, case: Case) -> tuple[Accelerator, TrainStep]:
    if world_size > 1:
        names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world_size, "MASTER_PORT": port}
        os.environ |= {name: str(value) for name, value in names.items()} | {"MASTER_ADDR": "127.0.0.1"}
    torch.set_num_threads(1)
    config = configuration(case)
    accelerator = create_accelerator(config.trainer)
    seed_torch(config.seed, "initial weights")
    backbone = create_backbone(config.model, image_size=16, tokens=config.method.tokens, peft=config.method.peft)
    method = build_method(config, backbone, CLASSES).double()
    optimizer = create_optimizer(method, config.optimizer)
    return accelerator, TrainStep(method, optimizer, accelerator, seed=config.seed, ema_decay=0.9)


class _Recorder:
    """Logits of every forward pass, and gradients as the optimizer gets them."""

    def __init__(self, train_step: TrainStep) -> None:
        self.values: dict[str, Any] = {"logits": [], "gradients": [], "losses": [], "top1": []}
        train_step.method.head.register_forward_hook(self._logits)
        train_step.optimizer.optimizer.register_step_pre_hook(self._gradients)

    def _logits(self, module: torch.nn.Module, inputs: Any, output: Tensor) -> None:
        self.values["logits"].append(output.detach().clone())

    def _gradients(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        assert all(p.grad is not None for p in parameters)
        self.values["gradients"].append([p.grad.clone() for p in parameters if p.grad is not None])


def _enlarged(image: Tensor) -> Tensor:
    """The digits' 8 x 8 pixels as 16 x 16."""
    return image.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)


def _steps(config: Config, rank: int, world_size: int) -> Any:
    """The real loader, dealt to the processes, mixed; targets in the model's precision."""
    splits = load_splits(config.dataset)
    dealt = training_views(
        splits.train.labels,
        batch_size=BATCH,
        seed=config.seed,
        start_step=0,
        num_steps=STEPS,
        rank=rank,
        world_size=world_size,
        micro_batches=config.trainer.grad_accumulation,
    )
    batches = load_views(splits.train, _enlarged, dealt, ViewSeeds(config.seed), num_workers=0)
    steps = image_steps(
        batches,
        start_step=0,
        micro_batches=config.trainer.grad_accumulation,
        num_classes=CLASSES,
        seed=config.seed,
        augment=config.augment,
        device=torch.device("cpu"),
    )
    for micro_batches in steps:
        yield [
            b._replace(targets=b.targets.double() if b.targets.is_floating_point() else b.targets)
            for b in micro_batches
        ]
