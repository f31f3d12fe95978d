"""The parts of a run, put together from its configuration: data, backbone, method, evaluator."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator

from hma_ft.backbone.backbone import Backbone
from hma_ft.backbone.create import create_backbone
from hma_ft.config.frozen import load_config
from hma_ft.config.schema import Config, DatasetConfig
from hma_ft.data.prepare import ensure_present
from hma_ft.data.splits import Splits, load_splits
from hma_ft.data.transforms import EvalTransform
from hma_ft.engine import checkpoint
from hma_ft.engine.evaluate import Evaluator
from hma_ft.engine.feature_store import FeatureStore
from hma_ft.engine.inputs import uses_soft_labels
from hma_ft.engine.randomness import seed_torch
from hma_ft.engine.state import FROZEN_DIGEST, digest_of_frozen, load_trained_state
from hma_ft.errors import UserError
from hma_ft.methods.base import Method
from hma_ft.methods.create import create_method
from hma_ft.tracking.status import State, read_status


@dataclass
class Parts:
    """What a run consists of before it trains."""

    splits: Splits
    method: Method
    evaluator: Evaluator
    eval_transform: EvalTransform
    view_store: FeatureStore | None  # features of training views, where they are shared between runs

    @property
    def backbone(self) -> Backbone:
        """The method's."""
        return self.method.backbone


def assemble(config: Config, accelerator: Accelerator) -> Parts:
    """Read the data set, build the model on the device. Errors of the configuration that need timm come first."""
    seed_torch(config.seed, "initial weights")
    backbone = create_backbone(
        config.model,
        image_size=config.augment.image_size,
        tokens=config.method.tokens,
        peft=config.method.peft,
        grad_checkpointing=config.trainer.grad_checkpointing,
    )
    with accelerator.main_process_first():
        ensure_present(config.dataset)
    splits = load_splits(config.dataset)
    method = build_method(config, backbone, len(splits.class_names)).to(accelerator.device)
    view_store, split_store = _feature_stores(config, accelerator, method, splits)
    transform = EvalTransform(
        image_size=config.augment.image_size,
        crop_ratio=config.augment.eval_crop_ratio or backbone.crop_ratio,
        interpolation=backbone.interpolation,
    )
    evaluator = Evaluator(
        method,
        accelerator,
        {"train": splits.train, "val": splits.val, "test": splits.test},
        transform,
        batch_size=config.trainer.eval_batch_size,
        workers=config.trainer.workers,
        seed=config.seed,
        store=split_store,
    )
    return Parts(splits, method, evaluator, transform, view_store)


def _feature_stores(
    config: Config, accelerator: Accelerator, method: Method, splits: Splits
) -> tuple[FeatureStore | None, FeatureStore | None]:
    """Where the features of a frozen backbone are shared: those of training views, those of whole splits.

    None where they change, or with several processes.
    """
    if not (config.trainer.feature_reuse and method.features_are_fixed and accelerator.num_processes == 1):
        return None, None
    trainer, augment = config.trainer, config.augment
    shared = {
        "weights": digest_of_frozen(method),
        "model": [config.model.name, config.model.options],
        "arithmetic": [trainer.precision.value, str(accelerator.device), trainer.compile, trainer.channels_last],
        "threads": torch.get_num_threads(),
    }
    described = splits.description
    views = {
        "data": {name: value for name, value in described.items() if name.startswith(("train", "taught", "classes"))},
        "augment": asdict(augment),
        "seed": config.seed,
        "batch": [trainer.batch_size, trainer.grad_accumulation],
    }
    whole = {
        "data": described,
        "transform": [augment.image_size, augment.eval_crop_ratio],
        "batch": trainer.eval_batch_size,
    }
    root, limit = Path(config.runs_dir) / "features", int(trainer.feature_reuse_gb * 1e9)
    view_store, split_store = (FeatureStore(root, shared | own, limit_bytes=limit) for own in (views, whole))
    return view_store, split_store


def build_method(config: Config, backbone: Backbone, num_classes: int) -> Method:
    """The method on its backbone, its head's weights a pure function of the seed."""
    seed_torch(config.seed, "head")
    return create_method(config.method, backbone, num_classes, soft_labels=uses_soft_labels(config.augment))


def restore(command: Config, accelerator: Accelerator) -> tuple[Config, Parts]:
    """The finished run `command.run`: its configuration, and its model with the chosen weights.

    What may have moved since is the command's where it says so: data set root, weights file, workers.
    """
    directory = Path(command.run or "")
    status = read_status(directory)
    if status is None or status.state is not State.finished:
        state = "is no run directory" if status is None else f"holds a run that is {status.state}"
        raise UserError(f"run={directory} {state}: give the directory of a finished run")
    config = load_config(directory / "config.yaml")
    if command.dataset.root != DatasetConfig().root:
        config.dataset.root = command.dataset.root
    config.model.weights = command.model.weights or config.model.weights
    config.trainer.workers = command.trainer.workers
    parts = assemble(config, accelerator)
    load_best(directory, parts.method)
    return config, parts


def load_best(directory: Path, method: Method, name: str | None = None) -> None:
    """Load the weights that val chose (`name` in checkpoints/, else the newest) into the method."""
    folder = directory / "checkpoints"
    state = checkpoint.load(folder / name) if name else checkpoint.load_newest(folder, kind="best")
    if state is None:
        raise UserError(f"{folder} holds no weights: train the run again with fresh=true")
    load_trained_state(method, state["method"], state[FROZEN_DIGEST])
