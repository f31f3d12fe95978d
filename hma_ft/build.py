"""The parts of a run, put together from its configuration: data, backbone, method, evaluator."""

from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from hma_ft.backbone.backbone import Backbone
from hma_ft.backbone.create import create_backbone
from hma_ft.config.schema import Config, Resize, Sampling, TrainerConfig
from hma_ft.data.content_index import ContentIndex
from hma_ft.data.prepare import ensure_present
from hma_ft.data.splits import Splits, load_splits
from hma_ft.data.transforms import EvalTransform
from hma_ft.engine import checkpoint
from hma_ft.engine.arithmetic import arithmetic_in_force, library_versions
from hma_ft.engine.evaluate import Evaluator
from hma_ft.engine.feature_store import FeatureStore
from hma_ft.engine.inputs import MADE_OF_VIEWS, has_finite_views, uses_soft_labels
from hma_ft.engine.randomness import seed_torch
from hma_ft.engine.state import FROZEN_DIGEST, digest_of_frozen, load_trainable_state_dict
from hma_ft.engine.view_features import BLOCK
from hma_ft.methods.base import Method
from hma_ft.methods.create import create_method


@dataclass
class RunComponents:
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


def assemble(config: Config, accelerator: Accelerator) -> RunComponents:
    """Read the data set, build the model on the device. Errors of the configuration that need timm come first."""
    backbone = build_backbone(config)
    with accelerator.main_process_first():
        ensure_present(config.dataset)
    index = ContentIndex.beside_runs(config.runs_dir, verify=config.dataset.verify_content)
    splits = load_splits(config.dataset, index=index, select=config.trainer.select)
    method = build_method(config, backbone, len(splits.class_names)).to(accelerator.device)
    prepare_for_device(method, config.trainer)  # before the stores are opened, which are named by what is in force
    view_store, split_store = feature_stores(config, accelerator, method, splits, autocast=accelerator.autocast())
    transform = create_eval_transform(config, backbone)
    evaluator = create_evaluator(config, accelerator, method, splits, transform, store=split_store)
    return RunComponents(splits, method, evaluator, transform, view_store)


def build_backbone(config: Config, *, load: bool = True) -> Backbone:
    """The backbone, its random weights a pure function of the seed; `load=False` reads no pretrained ones."""
    seed_torch(config.seed, "initial weights")
    return create_backbone(
        config.model,
        image_size=config.augment.image_size,
        tokens=config.method.tokens,
        peft=config.method.peft,
        grad_checkpointing=config.trainer.grad_checkpointing,
        load=load,
    )


def create_eval_transform(config: Config, backbone: Backbone) -> EvalTransform:
    """The transform of evaluation: resize and crop as the configuration says, else as the backbone was pretrained."""
    augment = config.augment
    return EvalTransform(
        image_size=augment.image_size,
        crop_ratio=augment.eval_crop_ratio or (backbone.crop_ratio if augment.resize is Resize.crop else 1.0),
        interpolation=backbone.interpolation,
        upright=config.dataset.exif_orientation,
        resize=augment.resize,
        fill=backbone.mean_colour,
    )


def create_evaluator(
    config: Config,
    accelerator: Accelerator,
    method: Method,
    splits: Splits,
    transform: EvalTransform,
    *,
    store: FeatureStore | None,
    final_weights: bool = False,
) -> Evaluator:
    """The evaluator of a data set's splits, in the precision and batches of the configuration."""
    return Evaluator(
        method,
        accelerator,
        {"train": splits.train, "val": splits.val, "test": splits.test},
        transform,
        batch_size=config.trainer.eval_batch_size,
        num_workers=config.trainer.num_workers,
        seed=config.seed,
        precision=config.trainer.precision,
        store=store,
        final_weights=final_weights,
        kept_bytes=0 if final_weights else int(config.trainer.eval_cache_gb * 1e9),
    )


def prepare_for_device(method: Method, config: TrainerConfig) -> None:
    """Set memory format and compilation, in place, so that weights keep their names."""
    for module in method.modules():
        if isinstance(module, Backbone):
            if config.channels_last:
                module.to(memory_format=torch.channels_last)
            if config.compile:
                module.compile_blocks()
    if config.compile:
        method.compile_head()


def feature_stores(
    config: Config,
    accelerator: Accelerator,
    method: Method,
    splits: Splits,
    *,
    autocast: AbstractContextManager[object],
) -> tuple[FeatureStore | None, FeatureStore | None]:
    """Open where the features of a frozen backbone are shared: those of training views, those of whole splits.

    `autocast` is the context in which they are computed, by the method as it is now. None where features change, or
    with several processes.
    """
    if not (config.trainer.cache_features and method.has_frozen_features and accelerator.num_processes == 1):
        return None, None
    trainer, augment = config.trainer, config.augment
    shared = {
        "weights": digest_of_frozen(method),
        "model": [config.model.name, config.model.options, *([] if config.model.normalise else ["0..1"])],
        "arithmetic": arithmetic_in_force(method.backbone, accelerator.device, autocast),
        "libraries": library_versions(),
    }
    resize = {} if augment.resize is Resize.crop else {"resize": augment.resize.value}  # older stores do not name it
    described = splits.description
    views = {**_what_views_depend_on(config, described, len(splits.class_names)), **resize}
    whole = {
        "data": [described[f"{name}_content"] for name in splits.by_name],
        "transform": [augment.image_size, augment.eval_crop_ratio],
        **resize,
        "batch": trainer.eval_batch_size,
    }
    root, limit = Path(config.runs_dir) / "features", int(trainer.cache_features_gb * 1e9)
    view_store, split_store = (FeatureStore(root, shared | own, limit_bytes=limit) for own in (views, whole))
    return view_store, split_store


def _what_views_depend_on(config: Config, described: dict[str, int | str], num_classes: int) -> dict[str, Any]:
    """The part of a store's key for training views: finite ones serve every split, seed and batch size."""
    trainer, augment = config.trainer, {k: v for k, v in asdict(config.augment).items() if k not in ("resize", "views")}
    if has_finite_views(config.augment):
        return {"finite views of": {k: v for k, v in augment.items() if k not in MADE_OF_VIEWS}, "block": BLOCK}
    return {
        "data": [described["train_content"], described.get("taught_digest"), num_classes],
        "augment": augment | ({} if config.augment.views is None else {"views": config.augment.views}),
        "seed": config.seed,
        "batch": [trainer.batch_size, trainer.grad_accumulation],
        **({} if trainer.sampling is Sampling.uniform else {"sampling": trainer.sampling.value}),
    }


def build_method(config: Config, backbone: Backbone, num_classes: int) -> Method:
    """The method on its backbone, its head's weights a pure function of the seed."""
    seed_torch(config.seed, "head")
    return create_method(config.method, backbone, num_classes, soft_labels=uses_soft_labels(config.augment))


def load_best(directory: Path, method: Method, name: str) -> None:
    """Load the weights that val chose, `name` in checkpoints/, into the method."""
    state = checkpoint.load(directory / "checkpoints" / name)
    load_trainable_state_dict(method, state["method"], state[FROZEN_DIGEST])
