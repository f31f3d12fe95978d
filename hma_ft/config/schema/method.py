"""Keys of conf/method: what trains, in the backbone and in the memory head."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


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
    """The memory head; docs/RELEASED.md has the table of released flags."""

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
