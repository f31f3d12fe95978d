"""What the training loop knows of a method."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import MethodConfig
from hma_ft.memory.bank import FeatureBank
from hma_ft.memory.class_sums import ClassSums
from hma_ft.memory.ring_buffer import RealMemory, as_pairs
from hma_ft.methods.class_balance import ClassBalance

Memory = RealMemory | FeatureBank | ClassSums  # of training images, with their ids


class Output(NamedTuple):
    """What a method says of a batch."""

    logits: Tensor  # [B, C]
    features: Tensor  # [B, D], pre-logits of the backbone


class LabelledFeatures(NamedTuple):
    """Features of a split or of a part of one, under the evaluation transform."""

    features: Tensor  # [N, D]
    labels: Tensor  # [N]
    ids: Tensor  # [N]

    def chosen(self, rows: Tensor) -> "LabelledFeatures":
        """Some of them: indices, or bool [N]."""
        return LabelledFeatures(*(column[rows.to(column.device)] for column in self))


def joined(first: LabelledFeatures, second: LabelledFeatures) -> LabelledFeatures:
    """Both, in the order of their ids."""
    columns = [torch.cat(pair) for pair in zip(first, second, strict=True)]
    order = columns[2].argsort()
    return LabelledFeatures(*(column[order] for column in columns))


class MicroBatchOutput(NamedTuple):
    """One micro-batch of a training step, as the method saw it."""

    inputs: Tensor  # uint8 images [B, 3, S, S] or features [B, D]
    output: Output
    targets: Tensor  # class ids [B] or probabilities [B, C]
    ids: Tensor  # sample ids [B], or [B, 2] where two images were mixed


class Method(nn.Module, ABC):
    """A backbone and a head.

    A subclass builds its head in the constructor (same four arguments) and implements `classify`. Everything else
    has a default: override what the method needs.
    """

    training_only: tuple[str, ...] = ()  # prefixes of state that only training needs; not saved with the best weights
    learns_from_val = False  # its last weights come from val too (`refit`), of which it then tells nothing
    fits = False  # learns in one pass over the features of a frozen backbone, by `fit`
    excludes_own_rows = True  # an image whose id is given does not read what a memory holds of itself
    takes_new_classes = False  # `add_classes` makes room for classes that the run did not know
    balance: ClassBalance | None = None  # of the loss; set before the first step

    def __init__(self, backbone: Backbone, num_classes: int, config: MethodConfig, soft_labels: bool) -> None:
        """`soft_labels`: training targets are class probabilities (mixup, cutmix, smoothing) and not class ids."""
        super().__init__()
        backbone.set_trainable(config.backbone, config.class_token)
        self.backbone = backbone
        self.num_classes = num_classes

    @abstractmethod
    def classify(self, features: Tensor, ids: Tensor | None) -> Tensor:
        """Features [B, D] and sample ids (None: not of the training split) -> logits [B, C]."""

    def forward(self, inputs: Tensor, ids: Tensor | None = None) -> Output:
        """uint8 images [B, 3, S, S], or their stored features [B, D]."""
        features = inputs if inputs.ndim == 2 else self.features(inputs)
        return Output(self.classify(features, ids), features)

    def features(self, images: Tensor) -> Tensor:
        """Pre-logits [B, D]; without a graph where nothing in the backbone trains."""
        return self.backbone(images)

    def loss(self, output: Output, targets: Tensor) -> Tensor:
        """Cross-entropy with class ids [B] or probabilities [B, C], mean over the batch; weighed by `balance`."""
        if self.balance is not None:
            return self.balance.loss(output.logits, targets)
        return functional.cross_entropy(output.logits, targets)

    def memory_init_indices(self, labels: Tensor, seen_in_training: Tensor | None = None) -> Tensor | None:
        """Training samples whose features the method takes before its first step, given the labels [N]; None: none.

        `seen_in_training`: those that steps train on; None: all.
        """
        return None

    def init_memory(self, reference: LabelledFeatures) -> None:
        """Take the features that `memory_init_indices` asked for, the same ones in every process."""
        raise NotImplementedError(f"{type(self).__name__} starts without features")

    def after_backward(self, step: list[MicroBatchOutput]) -> None:
        """Called after the backward pass of a step and before the optimizer's, with all its micro-batches."""

    def fit(self, train: LabelledFeatures, val: LabelledFeatures, later: LabelledFeatures | None = None) -> None:
        """Learn from training features in one pass and choose on val; of a method that `fits`.

        `later`: training images of classes that come after all that is learned (`dataset.held_out_classes`); a memory
        may hold them, nothing else may depend on them. None: there are none.
        """
        raise NotImplementedError(f"{type(self).__name__} has no fit")

    def refit(self, train: LabelledFeatures, val: LabelledFeatures) -> None:
        """Learn from both, with what `fit` has chosen; of a method that `learns_from_val`."""
        raise NotImplementedError(f"{type(self).__name__} has no refit")

    def calibrate(self, val: LabelledFeatures, later: Tensor) -> None:
        """Choose on val what is chosen after training, with the weights that val chose; a pure function of both.

        What it finds is part of the method's state, and must not depend on training images of the classes `later`,
        which no step has seen. Called in the headline inference mode, prepared.
        """

    @property
    def calibrates(self) -> bool:
        """Whether `calibrate` has anything to choose."""
        return False

    @property
    def chosen(self) -> dict[str, float]:
        """What `fit` or `calibrate` has chosen on val, by name; result.json has it as `chosen/NAME`."""
        return {}

    def enter_mode(self, *, training: bool) -> None:
        """Change to training or evaluation mode unless the method is there: to walk all modules costs a step time."""
        if self.training != training:
            self.train(training)

    def compile_head(self) -> None:
        """Compile what a training step does after the backbone, in place, where that takes more than a layer or two."""

    def no_weight_decay(self) -> set[str]:
        """Names of trainable parameters that get no weight decay although they have two dimensions: embeddings."""
        return {f"backbone.{name}" for name in self.backbone.no_weight_decay()}

    @property
    def needs_whole_batch(self) -> bool:
        """Whether an image's output in training depends on the others of its batch.

        A step of such a method can't be divided into micro-batches.
        """
        return False

    @property
    def requires_training(self) -> bool:
        """Whether there is anything for an optimizer to do."""
        return any(parameter.requires_grad for parameter in self.parameters())

    @property
    def has_frozen_features(self) -> bool:
        """Whether an image's features are the same throughout the run."""
        return not self.backbone.trains

    def inference_modes(self) -> tuple[str, ...]:
        """Ways to predict; the first one is the headline and chooses the checkpoint."""
        return ("alone",)

    def inference(self, mode: str) -> AbstractContextManager[None]:
        """A context of evaluation in one of `inference_modes`, in which no weight and no memory changes."""
        return nullcontext()

    def support_bank(self, mode: str) -> FeatureBank | None:
        """The bank that `set_support` fills and this mode reads; None: the mode reads no training features.

        It is saved once, at the end of the run, and not with every checkpoint.
        """
        return None

    def support_indices(self, mode: str, labels: Tensor) -> Tensor | None:
        """Training samples whose features `support_bank` takes, given the labels [N] of the train split; None: none."""
        return None

    def set_support(self, reference: LabelledFeatures) -> None:
        """Take the features that `support_indices` asked for."""
        raise NotImplementedError(f"{type(self).__name__} reads no reference features")

    def memories(self, mode: str) -> dict[str, Memory]:
        """By name, the memories of training images that an inference mode reads; after `set_support`, if any."""
        return {}

    def lookup_features(self, features: Tensor) -> Tensor:
        """Features [B, D] -> [B, M], the space in which the method compares an image with those of its memories.

        Nearness there is by cosine.
        """
        return features

    def lookup_rows(self, mode: str) -> LabelledFeatures | None:
        """Images that the mode's memories keep apart, one a row; None: there is none.

        Features [R, D] before `lookup_features`, labels [R], ids [R, 2] as in `RealMemory`.
        """
        kept = [rows for memory in self.memories(mode).values() if (rows := memory.image_rows()) is not None]
        if not any(len(labels) for _, labels, _ in kept):
            return None
        features, labels, ids = zip(*kept, strict=True)
        return LabelledFeatures(torch.cat(features), torch.cat(labels), torch.cat([as_pairs(part) for part in ids]))

    def add_to_memories(self, added: LabelledFeatures, mode: str) -> None:
        """Append labelled images to every memory that the mode reads, without training."""
        raise NotImplementedError(f"{type(self).__name__} has no memory")

    def remove_from_memories(
        self, ids: Tensor, mode: str, fetch: Callable[[Tensor], LabelledFeatures]
    ) -> dict[str, int]:
        """Take training images [N] out of every memory that the mode reads, without training.

        `fetch` gives the features of some of them. Returns the number of rows that each memory lost, by its name.
        """
        removed = {}
        for name, memory in self.memories(mode).items():
            if isinstance(memory, ClassSums):
                raise NotImplementedError(
                    f"{type(self).__name__} keeps sums, of which `fetch` must say what to subtract"
                )
            removed[name] = memory.remove(ids)
        return removed

    def add_classes(self, number: int) -> None:
        """Make room for classes that the run did not know, of which images are then added to the memories."""
        raise NotImplementedError(f"{type(self).__name__} has a fixed number of classes")

    def trained_linear_head(self) -> nn.Linear | None:
        """The layer on the features that steps train and `method.head_init` may start; None if there is none."""
        return None

    def linear_classifier(self) -> nn.Linear | None:
        """The layer that alone turns features into logits; None where there is more to it.

        With it, and no more in the backbone than timm knows, plain timm holds the whole model.
        """
        return None

    def parameter_counts(self) -> tuple[int, int]:
        """Trainable and all parameters of the model that predicts."""
        counted = [p for name, p in self.named_parameters() if not name.startswith(self.training_only)]
        return sum(p.numel() for p in counted if p.requires_grad), sum(p.numel() for p in counted)
