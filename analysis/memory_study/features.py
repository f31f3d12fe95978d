"""Frozen features of the data sets of the memory study, computed once through the suite's own pipeline."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from torch import Tensor

from analysis.methods.build import CONF
from hma_ft.build import build_backbone, create_eval_transform
from hma_ft.config.frozen import typed
from hma_ft.config.register import register_schema
from hma_ft.config.schema import Config
from hma_ft.data.datasets.base import ImageDataset, Joined, Subset
from hma_ft.data.loading import eval_batches
from hma_ft.data.splits import load_splits

BATCH = 50  # images of a forward pass
MOST = 3000  # images of a part
LISTED = "listed dataset.options.train=train.csv dataset.options.test=test.csv dataset.options.path=path"


class DataSet(NamedTuple):
    """A data set of the study."""

    choice: str  # of the group `dataset`, and overrides
    folder: str  # below the root of the data
    val_share: float  # of train and val together
    pool: int = MOST  # images of train and val together that are drawn, where there are more
    test: int = MOST


DEVELOPED_ON = {
    "dtd10": DataSet("dtd", "", 1 / 2),
    "eurosat": DataSet("folder", "eurosat", 1 / 3),
    "caltech101": DataSet("folder", "caltech101", 1 / 4),
    "cifar100": DataSet("folder", "cifar100_subset", 1 / 3, test=1500),
}
JUDGED_ON = {
    "flowers102": DataSet("flowers102", "", 1 / 2, test=1500),
    "cifar10": DataSet("folder", "cifar10_subset", 1 / 4, pool=2000),
    "cifar10n_worse": DataSet(f"{LISTED} dataset.options.label=worse", "cifar10n", 1 / 4, pool=2000, test=1000),
    "cifar10n_aggre": DataSet(f"{LISTED} dataset.options.label=aggre", "cifar10n", 1 / 4, pool=2000, test=1000),
}


class Part(NamedTuple):
    """Images of a data set: what an experiment needs to know of them."""

    features: Tensor  # float32 [N, D]
    labels: Tensor  # int64 [N]


def compute(name: str, root: Path, weights: Path, out: Path, image_size: int) -> None:
    """Write out/NAME.npz: features and labels of the pool (train and val together) and of test, by sample id."""
    data_set = (DEVELOPED_ON | JUDGED_ON)[name]
    config = _config(data_set, root, weights, image_size)
    splits = load_splits(config.dataset)
    pool = _features(_drawn(Joined(splits.train, splits.val), data_set.pool), config)
    test = _features(_drawn(splits.test, data_set.test), config)
    arrays: dict[str, Any] = {
        f"{part}_{column}": array
        for part, columns in {"pool": pool, "test": test}.items()
        for column, array in columns.items()
    }
    np.savez(out / f"{name}.npz", **arrays)


def load(name: str, folder: Path) -> tuple[Part, Part]:
    """The pool and the test images of folder/NAME.npz."""
    with np.load(folder / f"{name}.npz") as arrays:
        pool, test = (
            Part(torch.from_numpy(arrays[f"{part}_features"]), torch.from_numpy(arrays[f"{part}_labels"]))
            for part in ("pool", "test")
        )
    return pool, test


@torch.inference_mode()
def _features(samples: ImageDataset, config: Config) -> dict[str, np.ndarray]:
    """Features [N, D] under the evaluation transform, labels and ids [N]."""
    backbone = build_backbone(config).eval()
    transform = create_eval_transform(config, backbone)
    batches = eval_batches(samples, transform, batch_size=BATCH, num_workers=0)
    return {
        "features": torch.cat([backbone(batch.images) for batch in batches]).numpy(),
        "labels": samples.labels.numpy(),
        "ids": np.array([samples.sample_id(index) for index in range(len(samples))]),
    }


def _drawn(samples: ImageDataset, most: int) -> ImageDataset:
    """Up to so many of them, drawn and ordered by their ids alone: no split and no label has a part in it."""
    order = np.argsort([samples.sample_id(index) for index in range(len(samples))])
    drawn = np.sort(np.random.default_rng(0).permutation(len(order))[:most])
    return Subset(samples, torch.from_numpy(order[drawn]))


def _config(data_set: DataSet, root: Path, weights: Path, image_size: int) -> Config:
    register_schema()
    GlobalHydra.instance().clear()
    overrides = [
        *f"dataset={data_set.choice}".split(),
        f"dataset.root={root / data_set.folder}",
        "model=deit_tiny",
        f"model.weights={weights}",
        f"augment.image_size={image_size}",
    ]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return typed(compose("config", overrides))
