"""Keys of conf/optimizer, conf/scheduler, conf/augment and conf/trainer: how a run trains."""

from dataclasses import dataclass, field
from enum import Enum


class Precision(Enum):
    """Arithmetic of the forward pass; fp16 scales its loss, tf32 is fp32 with a GPU's products of ten-bit mantissas."""

    fp32 = "fp32"
    tf32 = "tf32"
    bf16 = "bf16"
    fp16 = "fp16"


class Device(Enum):
    """`auto` takes the GPUs if there are any."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Resize(Enum):
    """What becomes of an image's aspect ratio: kept, its ends cropped; given up; kept, its short side padded."""

    crop = "crop"
    squash = "squash"
    pad = "pad"


class Selection(Enum):
    """Which weights are tested: those that are best on val, or the last ones, trained on train and val together."""

    best = "best"
    last = "last"


class ClassWeights(Enum):
    """Weight of a class in the loss; `balanced`: inverse to its number of training images, 1 in the mean."""

    none = "none"
    balanced = "balanced"


class Sampling(Enum):
    """How steps take training images; `balanced`: equally many of each class."""

    uniform = "uniform"
    balanced = "balanced"


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
    """Training transform, and the size and shape that evaluation uses too."""

    image_size: int = 224
    resize: Resize = Resize.crop  # of training, before its random crop, and of evaluation
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
    views: int | None = None  # of each image, by turns; null: a new one every epoch
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    label_smoothing: float = 0.0
    eval_crop_ratio: float | None = None  # crop size / resized short side; null: the model's own with crop, else 1


@dataclass
class TrainerConfig:
    """The loop: how long, how large, how exact, how often."""

    max_steps: int = 1000
    batch_size: int = 128  # images a step, over all processes
    sampling: Sampling = Sampling.uniform
    class_weights: ClassWeights = ClassWeights.none
    logit_adjustment: float = 0.0  # tau of Menon et al. (ICLR 2021): tau log(share of the class) is added in the loss
    grad_accumulation: int = 1  # micro-batches a step; 1 where images of a batch attend to each other
    eval_every: int = 30  # steps
    select: Selection = Selection.best  # of methods that train by steps; what is fitted chooses on val
    patience: int | None = None  # stop after so many evaluations that val has not improved for; the schedule stays
    eval_batch_size: int = 128
    eval_cache_gb: float = 2.0  # val as the model sees it, kept for the next pass where the backbone trains
    log_every: int = 10  # steps
    checkpoint_minutes: float = 2.0  # from one checkpoint to the next, at least; 0: one after every evaluation
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
