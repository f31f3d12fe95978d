"""The schema of conf/: one dataclass a group.

Hydra merges every YAML into these, so a key that does not exist or a value of the wrong type is
refused at composition. What a type cannot say (ranges, combinations) is in `checks`. This module
imports nothing heavy: `--help` and `--cfg job` read it.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


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


class BackboneTuning(Enum):
    """Which weights of the pretrained backbone train."""

    full = "full"
    frozen = "frozen"


class HeadInit(Enum):
    """Where a linear head begins: at random, or at a regression on the features as they are (LP-FT)."""

    none = "none"
    logreg = "logreg"
    ridge = "ridge"


class Reads(Enum):
    """Groups of settings that some methods never read; `reads` has the settings of each.

    training: optimizer, schedule, steps and the views that they train on. hma: `method.hma`.
    """

    training = "training"
    hma = "hma"


class TokenType(Enum):
    """Learnable memory tokens (Sandler et al., CVPR 2022): none, before every block, before the first block only."""

    none = "none"
    standard = "standard"
    prop = "prop"


class LabelStorage(Enum):
    """What the real memory keeps of a label: its id, embedded anew at each read, or the vector of that day."""

    ids = "ids"
    vectors = "vectors"


class SlotInit(Enum):
    """Initial values of the synthetic memory."""

    gaussian = "gaussian"
    zeros = "zeros"


class LogitsFrom(Enum):
    """The part of the memory-augmented vector that is classified: all D+L columns, the first D, or the last L."""

    all = "all"
    feature = "feature"
    label = "label"


class MemoryStart(Enum):
    """What the real memory holds before the first step: nothing, or training images under the test transform."""

    empty = "empty"
    train = "train"


class TrainContext(Enum):
    """Whose features a training image attends to beside the memories: the whole batch, or none."""

    batch = "batch"
    alone = "alone"


class Inference(Enum):
    """What a test image attends to beside the memories: nothing, its batch, or a fixed set of training images."""

    alone = "alone"
    batch = "batch"
    support = "support"


class Precision(Enum):
    """Arithmetic of the forward pass; fp16 scales its loss."""

    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class Device(Enum):
    """`auto` takes the GPUs if there are any."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class ImageCaching(Enum):
    """Where decoded images are kept for later epochs: nowhere, in this run's memory, or on disk for all runs."""

    none = "none"
    ram = "ram"
    disk = "disk"


class Corruption(Enum):
    """How test images are corrupted (Hendrycks and Dietterich, ICLR 2019)."""

    none = "none"
    noise = "noise"
    blur = "blur"
    contrast = "contrast"
    jpeg = "jpeg"


@dataclass
class ModelConfig:
    """A timm Vision Transformer and where its weights come from."""

    name: str = "vit_base_patch32_224.augreg_in21k"  # timm's name, with the weight tag
    short_name: str = "vit_b32"  # short, for run directories and tables
    pretrained: bool = True  # fetch timm's weights from the hub, unless `weights` names a file
    weights: str | None = None  # local .pth, .safetensors or .npz
    image_size: int = 224  # pixels a side; position embeddings are interpolated to it
    drop_path_rate: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)  # further keyword arguments of timm.create_model


@dataclass
class RecipeConfig:
    """The documented setting of a method; optimizer, scheduler and trainer take it unless overridden."""

    lr: float = 0.01
    max_steps: int = 1000
    warmup_steps: int = 10
    optimizer: str = "sgd"
    weight_decay: float = 0.0
    batch_size: int = 128


@dataclass
class TokensConfig:
    """Learnable memory tokens in the backbone."""

    type: TokenType = TokenType.none
    number: int = 5  # tokens a block (standard) or in all (prop)


@dataclass
class PeftConfig:
    """What trains inside a frozen backbone (parameter-efficient fine-tuning), beside class token and memory tokens."""

    name: str = "none"
    target: str | None = None  # the function that changes the timm model; null: nothing is added
    drop_path: float = 0.0  # stochastic depth in the frozen backbone while training: of the last block, lower ones less
    options: dict[str, Any] = field(default_factory=dict)  # arguments of the function; its YAML declares the keys


@dataclass
class RealMemoryConfig:
    """The queue of earlier training images (flag `local_mem_size`)."""

    size: int = 512  # rows R; 0 switches the real memory off
    momentum: float = 0.999  # of the EMA encoder that writes the rows; 0 writes live features
    start: MemoryStart = MemoryStart.empty  # train: balanced over classes where there are more images than rows
    update: bool = True  # false: no batch is written, as in the released code; with start=train a fixed bank
    mask_unfilled: bool = True  # false: initial noise rows are read, as in the released code
    store: LabelStorage = LabelStorage.ids
    exclude_self: bool = True  # an image does not read its own earlier row


@dataclass
class SyntheticMemoryConfig:
    """The learnable slots of each class (flag `global_memory_number`)."""

    slots: int = 16  # S slots a class; 0 switches the synthetic memory off
    init: SlotInit = SlotInit.gaussian


@dataclass
class HMAConfig:
    """The memory head; README has the table of released flags."""

    label_width: int = 64
    heads: int = 4
    score_scale: float = 1.0  # multiplies the attention scores
    tie_query_key_init: bool = False  # one projection for both at first: what is alike is read before any training
    top_k: int | None = None  # keep only the k largest attention weights
    renormalise_top_k: bool = False
    null_key: bool = False  # a learnable key whose value is zero
    dropout: float = 0.1
    logits_from: LogitsFrom = LogitsFrom.all
    batch_attention: bool = True  # attention between the images of a batch (flag `abd_augmentation`)
    train_context: TrainContext = TrainContext.batch
    inference: Inference = Inference.alone  # of the headline figures and of model selection
    support_size: int = 128  # training images of `support` inference, balanced over classes
    real: RealMemoryConfig = field(default_factory=RealMemoryConfig)
    synthetic: SyntheticMemoryConfig = field(default_factory=SyntheticMemoryConfig)


@dataclass
class MethodConfig:
    """How the backbone becomes a classifier."""

    name: str = "hma"
    target: str = "hma_ft.methods.hma.HMA"  # the class that implements it
    reads: list[Reads] = field(default_factory=lambda: list(Reads))  # the others can't change its result
    backbone: BackboneTuning = BackboneTuning.full
    class_token: bool = False  # with a frozen backbone, the class token still trains
    head_init: HeadInit = HeadInit.none  # of a linear head, before its first step
    recipe: RecipeConfig = field(default_factory=RecipeConfig)
    tokens: TokensConfig = field(default_factory=TokensConfig)
    peft: PeftConfig = field(default_factory=PeftConfig)
    hma: HMAConfig = field(default_factory=HMAConfig)
    options: dict[str, Any] = field(default_factory=dict)  # what this method alone has; its YAML declares the keys


@dataclass
class DatasetConfig:
    """Images with classes, as train, val and test splits."""

    name: str = "dtd"
    target: str = "hma_ft.data.datasets.dtd.DTD"  # the class that finds the images
    root: str = "data"
    on_disk: bool = True  # false: the images come with a package
    download: bool = True  # fetch what is missing before training; false: stop with the command that does
    split_seed: int = 0  # of the val split, where the data set has none of its own, and of the draws below
    val_fraction: float = 0.2  # of the training images, where the data set has no val split
    test_fraction: float = 0.2  # of the training images, where the data set has no test split; drawn before val
    exif_orientation: bool = False  # turn images as their EXIF orientation says; predictions follow the run's choice
    train_per_class: int | None = None  # few-shot: so many training images a class, drawn by split_seed
    label_noise: float = 0.0  # share of training images with another class's label, drawn by split_seed
    one_batch: int | None = None  # train, val and test are the same so many training images (debug=overfit)
    held_out_classes: int = 0  # drawn by split_seed: no step sees them and val lacks them, a bank of train holds them
    test_corruption: Corruption = Corruption.none
    corruption_severity: int = 3  # 1 to 5
    cache: ImageCaching = ImageCaching.none  # of decoded images; the numbers do not depend on it
    cache_gb: float = 10.0  # its bound; images that don't fit are decoded again
    cache_dir: str = "${runs_dir}/images"  # of cache=disk
    verify_content: bool = False  # read every image file again, though size, times and inode say that it is unchanged
    options: dict[str, Any] = field(default_factory=dict)  # what this data set alone has


@dataclass
class OptimizerConfig:
    """timm's optimizer factory."""

    name: str = "sgd"  # sgd, adam, adamw
    lr: float = 0.01
    momentum: float = 0.9  # sgd only
    weight_decay: float = 0.0
    layer_decay: float | None = None  # factor a block, from the head down; 1 or null: off


@dataclass
class SchedulerConfig:
    """Learning rate over steps: linear warm-up, then cosine to zero or constant."""

    name: str = "cosine"  # cosine, constant
    warmup_steps: int = 10


@dataclass
class AugmentConfig:
    """Training transform; evaluation always uses resize and centre crop with the model's own mean and std."""

    image_size: int = 224
    crop_scale: list[float] = field(default_factory=lambda: [0.08, 1.0])  # share of the area, random resized crop
    crop_ratio: list[float] = field(default_factory=lambda: [0.75, 1.3333333333333333])
    flip: float = 0.5  # probability of a horizontal flip
    affine_degrees: float = 0.0  # random rotation, degrees to either side
    affine_translate: float = 0.0  # random shift, share of the side
    affine_scale: float = 0.0  # random zoom, 1 - s to 1 + s
    auto_augment: str | None = None  # randaugment, trivialaugment
    randaugment_ops: int = 2
    randaugment_magnitude: int = 9
    random_erasing: float = 0.0  # probability
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    label_smoothing: float = 0.0
    eval_crop_ratio: float | None = None  # crop size / resized short side; null: the model's own


@dataclass
class TrainerConfig:
    """The loop: how long, how large, how exact, how often."""

    max_steps: int = 1000
    batch_size: int = 128  # images a step, over all processes
    grad_accumulation: int = 1  # micro-batches a step; 1 where images of a batch attend to each other
    eval_every: int = 30  # steps
    eval_batch_size: int = 128
    eval_cache_gb: float = 2.0  # val as the model sees it, kept for the next pass where the backbone trains
    log_every: int = 10  # steps
    checkpoint_minutes: float = 2.0  # between checkpoints; 0: one after every evaluation
    num_workers: int = 4  # loader processes; the numbers do not depend on it
    precision: Precision = Precision.fp32
    device: Device = Device.auto
    compile: bool = False  # the backbone's blocks, one graph for all that are equal, and the memory head
    channels_last: bool = False
    grad_checkpointing: bool = False
    clip_grad_norm: float | None = None
    ema_decay: float | None = None  # evaluate a moving average of the weights; t steps in, (1 + t) / (10 + t) at most
    cache_features: bool = True  # with a frozen backbone, features of training views are stored and shared by runs
    profile_steps: int = 0  # the last so many steps are recorded by the profiler, into the run directory
    cache_features_gb: float = 20.0  # bound of that store, beside the runs; the least recently used views go first


@dataclass
class TrackingConfig:
    """MLflow beside the run directory, which is the record."""

    mlflow: bool = True
    uri: str | None = None  # null: sqlite beside the runs
    experiment: str = "hma-${dataset.name}"
    log_weights: bool = False  # the best weights as an MLflow model, which `mlflow models serve` serves
    system_metrics: bool = False


@dataclass
class SweepConfig:
    """Options of a multirun; `sweep=NAME` chooses a file of sweeps/."""

    name: str | None = None  # null: made from the overrides that are swept
    dry_run: bool = False  # print the trials and launch nothing
    wait: bool = True  # false: return with job ids
    fail_fast: bool = False  # stop the sweep at its first failure


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
    output: str | None = None  # of predict a CSV file (null: predictions.csv), of export a folder (null: RUN/export),
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
