"""HMA on a Vision Transformer: full fine-tuning or head only, with or without memory tokens."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import BackboneTuning, HMAConfig, Inference, MemoryStart, MethodConfig, TrainContext
from hma_ft.errors import UserError
from hma_ft.hma import HMAHead
from hma_ft.hma.momentum import MomentumEncoder
from hma_ft.memory.bank import FeatureBank, class_balanced
from hma_ft.memory.ring_buffer import RealMemory
from hma_ft.methods.base import LabelledFeatures, Memory, Method, MicroBatchOutput


class HMA(Method):
    """The memory head on the backbone's features.

    Rows of the real memory come from a momentum copy of what trains in the backbone, all of it or PEFT, and from the
    live features where nothing does, where only class or memory tokens do (as in the release), or where
    `method.hma.real.momentum` is 0.
    """

    training_only = ("momentum_encoder.",)

    def __init__(self, backbone: Backbone, num_classes: int, config: MethodConfig, soft_labels: bool) -> None:
        super().__init__(backbone, num_classes, config, soft_labels)
        require_divisible(backbone.width, config.hma)
        self.config = config.hma
        self.head = HMAHead(backbone.width, num_classes, config.hma, soft_labels=soft_labels)
        real = config.hma.real
        moves = config.backbone is BackboneTuning.full or bool(backbone.peft.trainable)
        copied = moves and real.size > 0 and real.update and real.momentum > 0
        self.momentum_encoder = MomentumEncoder(backbone, real.momentum) if copied else None

    def classify(self, features: Tensor, ids: Tensor | None) -> Tensor:
        """Features [B, D] and sample ids [B] or [B, 2] -> logits [B, C]."""
        return self.head(features, ids)

    def compile_head(self) -> None:
        """Compile the memory head's part of a training step."""
        self.head.compile_training()

    def no_weight_decay(self) -> set[str]:
        """The backbone's, and the embeddings of the head."""
        return super().no_weight_decay() | {f"head.{name}" for name in self.head.no_weight_decay()}

    @property
    def needs_whole_batch(self) -> bool:
        """With attention between datapoints in training."""
        return self.config.batch_attention and self.config.train_context is TrainContext.batch

    def linear_classifier(self) -> nn.Linear | None:
        """The head's, where it has neither a memory nor attention between datapoints."""
        return self.head.classifier if self.head.labels is None else None

    def memory_init_indices(self, labels: Tensor, seen_in_training: Tensor | None = None) -> Tensor | None:
        """As many training samples as the real memory has rows, balanced over classes, if it is to start with them."""
        if self.head.real_memory is None or self.config.real.start is MemoryStart.empty:
            return None
        return class_balanced(labels, self.config.real.size)

    def init_memory(self, reference: LabelledFeatures) -> None:
        """Fill the real memory."""
        assert self.head.real_memory is not None and self.head.labels is not None
        self.head.real_memory.write(*reference, self.head.labels)

    @torch.no_grad()
    def after_backward(self, step: list[MicroBatchOutput]) -> None:
        """Move the momentum encoder once and queue the step's images."""
        if self.head.real_memory is None or not self.config.real.update:
            return
        if self.momentum_encoder is not None:
            self.momentum_encoder.update(self.backbone)
        for seen in step:
            features = seen.output.features if self.momentum_encoder is None else self.momentum_encoder(seen.inputs)
            self.head.write(features, seen.targets, seen.ids)

    def inference_modes(self) -> tuple[str, ...]:
        """The configured mode first; without attention between datapoints all modes are the same."""
        chosen = self.config.inference
        if not self.config.batch_attention:
            return (chosen.value,)
        return (chosen.value, *(mode.value for mode in Inference if mode is not chosen))

    @contextmanager
    def inference(self, mode: str) -> Iterator[None]:
        """Predict alone, with the batch or with the support set; memories are projected once."""
        before = self.head.inference
        self.head.inference = Inference(mode)
        try:
            with self.head.cached_projections():
                yield
        finally:
            self.head.inference = before

    def support_bank(self, mode: str) -> FeatureBank | None:
        """The head's, in mode `support`."""
        return self.head.support if Inference(mode) is Inference.support else None

    def support_indices(self, mode: str, labels: Tensor) -> Tensor | None:
        """The support set: class-balanced, a pure function of the training labels."""
        if not self.config.batch_attention or Inference(mode) is not Inference.support:
            return None
        return class_balanced(labels, self.config.support_size)

    def memories(self, mode: str) -> dict[str, Memory]:
        """The real memory, which every mode reads, and in mode `support` the support set."""
        found: dict[str, Memory] = {}
        if self.head.real_memory is not None:
            found["real"] = self.head.real_memory
        if self.head.support is not None and Inference(mode) is Inference.support:
            found["support"] = self.head.support
        return found

    def add_to_memories(self, added: LabelledFeatures, mode: str) -> None:
        """Rows from the live features: the momentum copy is not kept after training."""
        assert self.head.labels is not None
        for memory in self.memories(mode).values():
            if isinstance(memory, RealMemory):
                memory.add(*added, self.head.labels)
            else:
                memory.add(*added)

    def set_support(self, reference: LabelledFeatures) -> None:
        """Replace the support set."""
        if self.head.support is None:
            raise RuntimeError("no attention between datapoints, so no support set")
        self.head.support.set(*reference)


def require_divisible(feature_width: int, config: HMAConfig) -> None:
    """Raise a UserError unless the heads divide the width of the memory rows."""
    width = feature_width + config.label_width
    if width % config.heads:
        divisors = [heads for heads in range(1, 33) if width % heads == 0]
        raise UserError(
            f"method.hma.heads={config.heads} does not divide the width {width} (features {feature_width} + "
            f"method.hma.label_width {config.label_width}): use one of {', '.join(map(str, divisors))}"
        )
