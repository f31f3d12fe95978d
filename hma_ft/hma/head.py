"""The memory head: features in, logits out, through real memory, synthetic memory and attention between datapoints."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from hma_ft.config.schema import HMAConfig, Inference, LabelStorage, LogitsFrom, SlotInit, TrainContext
from hma_ft.hma.attention import KeyValue, MemoryAttention
from hma_ft.hma.attention_map import BATCH, REAL, SUPPORT, SYNTHETIC, AttentionMap, attention_weights
from hma_ft.hma.gather import gather_rows
from hma_ft.hma.synthetic_memory import SyntheticMemory
from hma_ft.memory.bank import FeatureBank
from hma_ft.memory.label_embedding import LabelEmbedding
from hma_ft.memory.memory_rows import MemoryRows
from hma_ft.memory.ring_buffer import RealMemory, ids_overlap


class HMAHead(nn.Module):
    """Heterogeneous memory augmentation on any feature extractor.

    For features h [B, D] of C classes and label width L, W = D + L:

        c = [h ; E[unknown]]                                    the label is what is asked for
        c <- MAB(c_i, [c_i ; real memory])                      `real_attention`, each image on its own
        c <- MAB(c_i, [context ; C * S synthetic slots])        `context_attention`
        logits = Linear(c)                                      of all W columns, the first D or the last L

    The context is the whole batch (over all processes, with gradient), the image alone, or the image and a fixed
    support set: `train_context` in training, `inference` in evaluation. Without any memory and without attention
    between datapoints the head is a linear layer on h.

    After the backward pass of a training step, `write` the batch to the real memory; evaluation never writes.
    """

    def __init__(
        self, feature_width: int, num_classes: int, config: HMAConfig | None = None, *, soft_labels: bool = False
    ) -> None:
        """`soft_labels`: the real memory holds class probabilities (mixup, smoothing) and not class ids."""
        super().__init__()
        config = config or HMAConfig()
        self.config = config
        self.inference = config.inference
        self.feature_width = feature_width
        has_real, has_slots = config.real.size > 0, config.synthetic.slots > 0
        augmented = has_real or has_slots or config.batch_attention
        self.classifier = nn.Linear(self._classifier_width(augmented), num_classes)
        self.labels = LabelEmbedding(num_classes, config.label_width) if augmented else None
        self.real_memory: RealMemory | None = None
        self.synthetic_memory: SyntheticMemory | None = None
        self.real_attention: MemoryAttention | None = None
        self.context_attention: MemoryAttention | None = None
        self.support: FeatureBank | None = None
        self._cached_real: KeyValue | None = None
        self._cached_context: KeyValue | None = None
        self._training_logits = self._logits
        if has_real:
            self.real_attention = self._attention()
            self.real_memory = RealMemory(
                config.real.size,
                feature_width=feature_width,
                label_width=config.label_width,
                num_classes=num_classes,
                store_vectors=config.real.store is LabelStorage.vectors,
                soft_labels=soft_labels,
            )
        if has_slots:
            self.synthetic_memory = SyntheticMemory(
                config.synthetic.slots,
                num_classes=num_classes,
                feature_width=feature_width,
                gaussian=config.synthetic.init is SlotInit.gaussian,
            )
        if has_slots or config.batch_attention:
            self.context_attention = self._attention()
        if config.batch_attention:
            self.support = FeatureBank(feature_width)

    def forward(self, features: Tensor, ids: Tensor | None = None) -> Tensor:
        """Features [B, D] -> logits [B, C]; sample ids [B] (mixed pairs: [B, 2]) keep an image from its own row."""
        return (self._training_logits if self.training else self._logits)(features, ids)

    def compile_training(self) -> None:
        """Compile what a training step does. Evaluation, whose batches and modes vary, gains nothing by a graph."""
        self._training_logits = torch.compile(self._logits)

    def _logits(self, features: Tensor, ids: Tensor | None) -> Tensor:
        if self.labels is None:
            return self.classifier(features)
        rows = self.read_real(self.labels.append_label_embedding(features, None), ids)
        if self.context_attention is not None:
            mask = self.context_mask(ids)
            rows = self.context_attention(rows, self._context(rows), mask=mask, read_self=not self._reads_batch())
        return self.classifier(self._classified_part(rows))

    @torch.no_grad()
    def attention(self, features: Tensor, ids: Tensor | None = None) -> dict[str, AttentionMap]:
        """Where `forward` looks, in evaluation: the maps of the blocks `real` and `context` that this head has.

        Features [B, D] and sample ids as in `forward`.
        """
        if self.training:
            raise RuntimeError("attention is read in evaluation: call head.eval()")
        maps: dict[str, AttentionMap] = {}
        if self.labels is None:
            return maps
        rows = self.labels.append_label_embedding(features, None)
        if self.real_memory is not None and self.real_attention is not None:
            sources = {REAL: self.real_memory.size}
            maps["real"] = attention_weights(self.real_attention, rows, self._real(rows), sources, self.real_mask(ids))
        rows = self.read_real(rows, ids)
        if self.context_attention is not None:
            mask = self.context_mask(ids)
            maps["context"] = attention_weights(
                self.context_attention,
                rows,
                self._context(rows),
                self._context_sources(len(rows)),
                mask,
                read_self=not self._reads_batch(),
            )
        return maps

    def read_real(self, rows: Tensor, ids: Tensor | None) -> Tensor:
        """First block: each row [B, W] reads itself and the real memory."""
        if self.real_attention is None:
            return rows
        return self.real_attention(rows, self._shared_real(rows), mask=self.real_mask(ids))

    def real_mask(self, ids: Tensor | None) -> Tensor | None:
        """Rows of the real memory, [R] or [B, R], that images with these ids may read; None: all."""
        if self.real_memory is None:
            return None
        real = self.config.real
        return self.real_memory.read_mask(ids, mask_unfilled=real.mask_unfilled, exclude_self=real.exclude_self)

    def context_mask(self, ids: Tensor | None) -> Tensor | None:
        """Rows of the second block, [B, K], that images with these ids may read; None: all.

        An image does not read its own row of the support set, as in the real memory.
        """
        if ids is None or self.support is None or not (self._reads_support() and self.config.real.exclude_self):
            return None
        slots = self._context_sources(len(ids)).get(SYNTHETIC, 0)
        return functional.pad(~ids_overlap(ids, self.support.ids), (0, slots), value=True)

    def context_rows(self, rows: Tensor) -> Tensor | None:
        """Rows [K, W] that the second block shares: batch or support set, then the synthetic slots; None: no row."""
        parts = []
        if self._reads_batch():
            parts.append(gather_rows(rows) if self.training else rows)
        elif self._reads_support():
            parts.append(self._support_rows())
        if self.synthetic_memory is not None and self.labels is not None:
            parts.append(self.synthetic_memory.rows(self.labels).to(rows.dtype))
        return torch.cat(parts) if parts else None

    def write(self, features: Tensor, labels: Tensor, ids: Tensor | None = None) -> None:
        """Append a training batch to the real memory, of all processes in rank order.

        Features [B, D], class ids [B] or probabilities [B, C], sample ids [B] or [B, 2].
        """
        if self.real_memory is None or self.labels is None or not self.config.real.update:
            return
        features, labels = gather_rows(features.detach()), gather_rows(labels.detach())
        self.real_memory.write(features, labels, None if ids is None else gather_rows(ids), self.labels)

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that are embeddings, by timm's convention: slots and the label table.

        Weight decay would shorten them whether or not a batch has images of their class. Biases, norms and the null
        slot are vectors, which timm's parameter groups exempt by their shape.
        """
        embeddings = ("labels.embedding.weight", "synthetic_memory.slots")
        return {name for name, _ in self.named_parameters() if name in embeddings}

    @contextmanager
    def cached_projections(self) -> Iterator[None]:
        """Inside, in evaluation, memories are read as they are now: projected once, not once a batch."""
        if self.training or self.labels is None:
            yield
            return
        try:
            with torch.no_grad():
                self._cached_real = self._real(self.classifier.weight)
                if self.context_attention is not None and not self._reads_batch():
                    self._cached_context = self._context(self.classifier.weight)
            yield
        finally:
            self._cached_real = self._cached_context = None

    def _real(self, rows: Tensor) -> KeyValue | None:
        """What the first block shares, projected."""
        if self._cached_real is not None or self.real_memory is None or self.real_attention is None:
            return self._cached_real
        assert self.labels is not None
        return self.real_attention.project(self.real_memory.rows(self.labels).to(rows.dtype))

    def _shared_real(self, rows: Tensor) -> KeyValue | MemoryRows | None:
        """The same, or the real memory as it is where that takes less for so many readers."""
        if self._cached_real is None and self.real_memory is not None and self.real_attention is not None:
            assert self.labels is not None
            memory = self.real_memory.stored(self.labels)
            if self.real_attention.prefers_absorbed(rows.shape[0], memory):
                return memory
        return self._real(rows)

    def _context(self, rows: Tensor) -> KeyValue | None:
        """What the second block shares, projected; the batch contains the reader itself already."""
        if self._cached_context is not None or self.context_attention is None:
            return self._cached_context
        context = self.context_rows(rows)
        return None if context is None else self.context_attention.project(context)

    def _reads_batch(self) -> bool:
        if not self.config.batch_attention:
            return False
        if self.training:
            return self.config.train_context is TrainContext.batch
        return self.inference is Inference.batch

    def _reads_support(self) -> bool:
        return self.config.batch_attention and not self.training and self.inference is Inference.support

    def _context_sources(self, readers: int) -> dict[str, int]:
        """How many rows of each source the second block shares, in the order of `context_rows`."""
        sources: dict[str, int] = {}
        if self._reads_batch():
            sources[BATCH] = readers
        elif self._reads_support() and self.support is not None:
            sources[SUPPORT] = len(self.support)
        if self.synthetic_memory is not None:
            sources[SYNTHETIC] = len(self.synthetic_memory.slots)
        return sources

    def _support_rows(self) -> Tensor:
        """The support set after its own read of the real memory [K, W]."""
        if self.support is None or self.labels is None or len(self.support) == 0:
            raise RuntimeError("inference 'support' needs a support set: call head.support.set(features, labels, ids)")
        return self.read_real(self.labels.append_label_embedding(self.support.features, None), self.support.ids)

    def _attention(self) -> MemoryAttention:
        config = self.config
        return MemoryAttention(
            self.feature_width + config.label_width,
            heads=config.heads,
            score_scale=config.score_scale,
            tie_query_key_init=config.tie_query_key_init,
            top_k=config.top_k,
            renormalise_top_k=config.renormalise_top_k,
            null_key=config.null_key,
            dropout=config.dropout,
        )

    def _classifier_width(self, augmented: bool) -> int:
        if not augmented or self.config.logits_from is LogitsFrom.feature:
            return self.feature_width
        if self.config.logits_from is LogitsFrom.label:
            return self.config.label_width
        return self.feature_width + self.config.label_width

    def _classified_part(self, rows: Tensor) -> Tensor:
        """The columns of the rows [B, W] that the classifier reads."""
        if self.config.logits_from is LogitsFrom.feature:
            return rows[:, : self.feature_width]
        if self.config.logits_from is LogitsFrom.label:
            return rows[:, self.feature_width :]
        return rows
