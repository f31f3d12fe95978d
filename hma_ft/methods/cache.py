"""A trainable cache beside a linear head: Tip-Adapter-F (Zhang et al., ECCV 2022) for models without text.

    logits = Linear(h) + alpha * sum over keys k of class c of exp(-beta * (1 - cos(h, k)))

The keys begin as features of training images, of length 1, and train with the linear layer that stands where the
published one has CLIP's text embeddings. alpha and beta are fixed in training; val chooses them afterwards. Beside the
text, two things differ from the published code: a key begins as the feature of one clean view, where that has the mean
of ten augmented ones, and alpha and beta come from ten values each, where that searches 200 and 20, by test accuracy.
"""

import itertools
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import MethodConfig
from hma_ft.memory.bank import FeatureBank
from hma_ft.memory.ring_buffer import NO_ID, as_pairs, ids_overlap
from hma_ft.methods.base import LabelledFeatures, Memory, Method
from hma_ft.methods.choose import add_to_score, best_choice
from hma_ft.methods.neighbours import l2_normalize
from hma_ft.methods.options import COUNT, NOT_NEGATIVE, POSITIVE, SWITCH, list_of, read_options
from hma_ft.precision import at_least_single, without_autocast

NO_CLASS = -1  # of a key that was never filled
BLOCK_ROWS = 4096  # val images at a time


class Strength(NamedTuple):
    """How much the cache counts, and how near a key must be."""

    alpha: float
    beta: float


class CacheHead(nn.Module):
    """A linear layer, and up to so many keys for each class."""

    labels: Tensor
    ids: Tensor

    def __init__(self, width: int, num_classes: int, keys_per_class: int) -> None:
        super().__init__()
        count = num_classes * keys_per_class
        self.linear = nn.Linear(width, num_classes)
        self.keys = nn.Parameter(torch.zeros(count, width))
        self.register_buffer("labels", torch.full((count,), NO_CLASS))
        self.register_buffer("ids", torch.full((count,), NO_ID))

    @torch.no_grad()
    def fill(self, features: Tensor, labels: Tensor, ids: Tensor) -> None:
        """The first keys: features [N, D] of length 1, labels and ids [N]; N is at most the number of keys."""
        count = len(labels)
        self.keys[:count] = features
        self.labels[:count], self.ids[:count] = labels, ids


class Cache(Method):
    """`options`: keys_per_class; alpha and beta, lists whose first value is the one of training; exclude_self, whether
    an image does not read its own key in training; in evaluation it never does.
    """

    chosen_strength: Tensor

    def __init__(self, backbone: Backbone, num_classes: int, config: MethodConfig, soft_labels: bool) -> None:
        super().__init__(backbone, num_classes, config, soft_labels)
        kinds = {
            "keys_per_class": COUNT,
            "alpha": list_of(NOT_NEGATIVE),
            "beta": list_of(POSITIVE),
            "exclude_self": SWITCH,
        }
        options = read_options(config, kinds)
        self.keys_per_class: int = options["keys_per_class"]
        self.excludes_self: bool = options["exclude_self"]
        self.choices = [Strength(*pair) for pair in itertools.product(options["alpha"], options["beta"])]
        self.head = CacheHead(backbone.width, num_classes, self.keys_per_class)
        self.bank = FeatureBank(backbone.width)  # of classes that no key was trained for
        self.register_buffer("chosen_strength", torch.tensor(self.choices[0], dtype=torch.float64))

    def memory_init_indices(self, labels: Tensor, seen_in_training: Tensor | None = None) -> Tensor:
        """As many images of each class that steps train on as it has keys."""
        known = torch.arange(len(labels)) if seen_in_training is None else seen_in_training
        return known[some_of_each(labels[known], self.keys_per_class)]

    def init_memory(self, reference: LabelledFeatures) -> None:
        """Fill the keys."""
        self.head.fill(*l2_normalize(reference))

    def classify(self, features: Tensor, ids: Tensor | None) -> Tensor:
        """Features [B, D] and sample ids -> logits [B, C]."""
        strength = self.choices[0] if self.training else self._strength
        keys, labels = self._cached()
        read = self._read(self._affinities(features, ids, keys), labels, strength.beta)
        return self.head.linear(features) + strength.alpha * read

    def _cached(self) -> tuple[Tensor, Tensor]:
        """Keys [K, D] and their classes [K]; in evaluation also those of classes that came later."""
        if self.training or len(self.bank) == 0:
            return self.head.keys, self.head.labels
        return torch.cat([self.head.keys, self.bank.features]), torch.cat([self.head.labels, self.bank.labels])

    def _affinities(self, features: Tensor, ids: Tensor | None, keys: Tensor) -> Tensor:
        """Cosines [B, K] while the keys have length 1; -inf of a key that an image must not read."""
        with without_autocast(features):
            affinities = (
                functional.normalize(at_least_single(features), dim=1)
                @ keys.to(torch.promote_types(features.dtype, keys.dtype)).T
            )
        if ids is None or (self.training and not self.excludes_self):
            return affinities
        held = torch.cat([self.head.ids, self.bank.ids])[: keys.shape[0]]
        return affinities.masked_fill(ids_overlap(ids, held), -torch.inf)

    def _read(self, affinities: Tensor, labels: Tensor, beta: float) -> Tensor:
        """What the cache says of each class, [B, C]."""
        with without_autocast(affinities):
            weights = (beta * (affinities - 1)).exp()
            classes = functional.one_hot(labels + 1, self.num_classes + 1)[:, 1:]  # nothing for a key of no class
            return weights @ classes.to(weights.dtype)

    @property
    def _strength(self) -> Strength:
        return Strength(*self.chosen_strength.tolist())

    @property
    def calibrates(self) -> bool:
        """Whether alpha or beta leaves val a choice."""
        return len(self.choices) > 1

    @torch.no_grad()
    def calibrate(self, val: LabelledFeatures, later: Tensor) -> None:
        """Choose alpha and beta by accuracy, then likelihood, with the trained keys; of equals the first."""
        scores = torch.zeros(len(self.choices), 2, dtype=torch.float64, device=val.features.device)
        keys, known = self.head.keys, self.head.labels
        for features, labels in zip(val.features.split(BLOCK_ROWS), val.labels.split(BLOCK_ROWS), strict=True):
            linear, affinities = at_least_single(self.head.linear(features)), self._affinities(features, None, keys)
            read = {beta: self._read(affinities, known, beta) for beta in {choice.beta for choice in self.choices}}
            for score, (alpha, beta) in zip(scores, self.choices, strict=True):
                logits = linear + alpha * read[beta]
                add_to_score(score, logits, labels)
        self.chosen_strength.copy_(torch.tensor(best_choice(self.choices, scores), dtype=torch.float64))

    @property
    def chosen(self) -> dict[str, float]:
        """alpha and beta."""
        return self._strength._asdict() if self.calibrates else {}

    def support_bank(self, mode: str) -> FeatureBank | None:
        """The keys that were not trained; None where every class has trained ones."""
        classes = self.head.labels[self.head.labels != NO_CLASS].unique()
        return self.bank if len(classes) < self.num_classes else None

    def support_indices(self, mode: str, labels: Tensor) -> Tensor | None:
        """Images of the classes that no key was trained for: their features become keys as they are."""
        untrained = (~torch.isin(labels, self.head.labels.cpu())).nonzero().flatten()
        if len(untrained) == 0:
            return None
        return untrained[some_of_each(labels[untrained], self.keys_per_class)]

    def set_support(self, reference: LabelledFeatures) -> None:
        """Replace the keys that were not trained."""
        self.bank.set(*l2_normalize(reference))

    def memories(self, mode: str) -> dict[str, Memory]:
        """The keys that were not trained; those that were are weights."""
        return {"cache": self.bank}

    def lookup_rows(self, mode: str) -> LabelledFeatures | None:
        """All keys, each under the image that it began as: trained ones as they are now."""
        keys, labels = self._cached()
        filled = labels != NO_CLASS
        if not bool(filled.any()):
            return None
        ids = as_pairs(torch.cat([self.head.ids, self.bank.ids]))
        return LabelledFeatures(keys[filled], labels[filled], ids[filled])

    def add_to_memories(self, added: LabelledFeatures, mode: str) -> None:
        """Further keys."""
        self.bank.add(*l2_normalize(added))

    def parameter_counts(self) -> tuple[int, int]:
        """Once keys are filled, without those that no image is left for, which no step can move."""
        empty = self.head.labels == NO_CLASS
        unfilled = 0 if empty.is_meta or bool(empty.all()) else int(empty.sum()) * self.head.keys.shape[1]
        trained, total = super().parameter_counts()
        return trained - unfilled, total - unfilled

    def trained_linear_head(self) -> nn.Linear:
        """The linear layer, without the cache."""
        return self.head.linear


def some_of_each(labels: Tensor, number: int, seed: int = 0) -> Tensor:
    """Indices, sorted, of up to `number` samples of each class; a pure function of the arguments."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    drawn = [order[labels[order] == label][:number] for label in labels.unique()]
    return torch.cat(drawn).sort().values if drawn else order
