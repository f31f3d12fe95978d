"""The schema of conf/: one dataclass a group, in the module of that group.

Hydra merges every YAML into these, so a key that does not exist or a value of the wrong type is
refused at composition. What a type cannot say (ranges, combinations) is in `checks`. These modules
import nothing heavy: `--help` and `--cfg job` read them.
"""

from dataclasses import dataclass, field
from enum import Enum

from hma_ft.config.schema.dataset import Corruption, DatasetConfig, ImageCaching
from hma_ft.config.schema.method import (
    BackboneTuning,
    HeadInit,
    HMAConfig,
    Inference,
    LabelStorage,
    LogitsFrom,
    MemoryStart,
    MethodConfig,
    PeftConfig,
    Reads,
    RealMemoryConfig,
    RecipeConfig,
    SlotInit,
    SyntheticMemoryConfig,
    TokensConfig,
    TokenType,
    TrainContext,
)
from hma_ft.config.schema.model import ModelConfig
from hma_ft.config.schema.sweep import SweepConfig, TuneConfig
from hma_ft.config.schema.tracking import TrackingConfig
from hma_ft.config.schema.training import (
    AugmentConfig,
    ClassWeights,
    Device,
    OptimizerConfig,
    Precision,
    Resize,
    Sampling,
    SchedulerConfig,
    Selection,
    TrainerConfig,
)

__all__ = [
    "AugmentConfig",
    "BackboneTuning",
    "ClassWeights",
    "Config",
    "Corruption",
    "DatasetConfig",
    "Device",
    "HMAConfig",
    "HeadInit",
    "ImageCaching",
    "Inference",
    "LabelStorage",
    "LogitsFrom",
    "MemoryStart",
    "MethodConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PeftConfig",
    "Precision",
    "Reads",
    "RealMemoryConfig",
    "RecipeConfig",
    "Resize",
    "Sampling",
    "SchedulerConfig",
    "Selection",
    "SlotInit",
    "SweepConfig",
    "SyntheticMemoryConfig",
    "Task",
    "TokenType",
    "TokensConfig",
    "TrackingConfig",
    "TrainContext",
    "TrainerConfig",
    "TuneConfig",
]


class Task(Enum):
    """What `run.py` does; chosen by `task=`."""

    train = "train"
    evaluate = "evaluate"
    predict = "predict"
    prepare = "prepare"
    sync = "sync"
    status = "status"
    cancel = "cancel"
    export = "export"


@dataclass
class Config:
    """A run."""

    task: Task = Task.train
    seed: int = 0
    runs_dir: str = "runs"
    fresh: bool = False  # start over a run that exists
    run: str | None = None  # run directory, of evaluate, predict and export
    input: str | None = None  # folder of images, of predict
    memory: str | None = None  # FOLDER/CLASS/images that predict adds to the memory it reads, without training
    memory_remove: str | None = None  # text file: training samples that predict takes out of the memory
    coverage: float | None = None  # of predict: share of val that the least probability of an answer keeps, above 0, at
    # most 1; images below it get the class `unknown`. null: every image gets a class
    nearest: int | None = None  # of predict: images of the memory that it names for each image (null: 3; 0: none)
    output: str | None = None  # of predict a CSV file, or JSON lines where it ends in .jsonl (null: predictions.csv),
    # of export a folder (null: RUN/export),
    # of prepare a JSON file (null: RUNS_DIR/prepare/DATASET.json)
    model: ModelConfig = field(default_factory=ModelConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig)
