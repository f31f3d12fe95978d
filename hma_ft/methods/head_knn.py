"""A linear head averaged with a kNN vote: the share of each class among the nearest training images joins its own.

    mix: probabilities   p = (1 - weight) softmax(Linear(h)) + weight * vote of the k nearest training images
    mix: logits          log p = (1 - weight) log softmax(Linear(h)) + weight * log vote + constant

Trained as a linear head; the training images join in evaluation (Jia et al., Rethinking nearest neighbors for visual
classification, arXiv 2112.08459, with ViTs; Khandelwal et al., ICLR 2020, equation 3, with language models). It is the
plainest memory of real images, with labels read at the output, and although it is trained it can predict a class of
which no step has seen an image: its images need only be in the bank.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import MethodConfig
from hma_ft.memory.bank import FeatureBank
from hma_ft.methods.base import LabelledFeatures, Memory, Method
from hma_ft.methods.choose import add_to_score, best_choice
from hma_ft.methods.knn import VOTING
from hma_ft.methods.neighbours import knn_probabilities, l2_normalize, nearest_in_blocks, weighted_vote
from hma_ft.methods.options import COUNT, FRACTION, POSITIVE, Kind, either, list_of, one_of, read_options
from hma_ft.precision import at_least_single


class Mixture(NamedTuple):
    """How the neighbours vote, and how much that counts."""

    k: int
    temperature: float  # not read where ranks vote
    weight: float  # 0: the head alone, 1: the neighbours alone


class HeadKNN(Method):
    """`options`: k, temperature, weight, mix and voting (`similarity` or `rank`, which has no temperature).

    Where k, temperature or weight is a list, val chooses from it once training is over, by accuracy, then likelihood;
    until then its first value is used.
    """

    chosen_mixture: Tensor

    def __init__(self, backbone: Backbone, num_classes: int, config: MethodConfig, soft_labels: bool) -> None:
        super().__init__(backbone, num_classes, config, soft_labels)
        kinds: dict[str, Kind] = {
            name: either(kind, list_of(kind))
            for name, kind in {"k": COUNT, "temperature": POSITIVE, "weight": FRACTION}.items()
        }
        kinds |= {"mix": one_of("probabilities", "logits"), "voting": VOTING}
        options = read_options(config, kinds, {"mix": "probabilities", "voting": "similarity"})
        self.mixes_logits, self.ranks_vote = options["mix"] == "logits", options["voting"] == "rank"
        if self.ranks_vote:
            options["temperature"] = 1.0
        values = (_listed(options[name]) for name in Mixture._fields)
        self.choices = [Mixture(*choice) for choice in itertools.product(*values)]
        self.head = nn.Linear(backbone.width, num_classes)
        self.bank = FeatureBank(backbone.width)
        if self.calibrates:  # where there is nothing to choose there is nothing to save
            self.register_buffer("chosen_mixture", torch.tensor(self.choices[0], dtype=torch.float64))
        self._used: Mixture | None = None  # in evaluation

    def classify(self, features: Tensor, ids: Tensor | None) -> Tensor:
        """Features [B, D] -> logits [B, C]; in evaluation log-probabilities, with the neighbours."""
        logits = self.head(features)
        if self._used is None:
            return logits
        k, temperature, _ = self._used
        voted = knn_probabilities(
            features,
            ids,
            self.bank,
            num_classes=self.num_classes,
            k=k,
            temperature=None if self.ranks_vote else temperature,
        )
        return self._mixed(self._mixable(logits), voted, self._used.weight)

    def _mixable(self, logits: Tensor) -> Tensor:
        """The head's part of the mixture, [B, C]: log-probabilities, or probabilities, 0 of classes that came later."""
        logits = at_least_single(logits)
        if self.mixes_logits:
            return logits.log_softmax(1)
        later = self.num_classes - self.head.out_features
        return functional.pad(logits.softmax(1), (0, later)) if later else logits.softmax(1)

    def _mixed(self, head: Tensor, voted: Tensor, weight: float) -> Tensor:
        """Logits [B, C] of the head's part and the neighbours' probabilities."""
        if self.mixes_logits:
            return (1 - weight) * head + weight * voted.log()
        return ((1 - weight) * head + weight * voted).log()

    def trained_linear_head(self) -> nn.Linear:
        """The head, without the neighbours."""
        return self.head

    @contextmanager
    def inference(self, mode: str) -> Iterator[None]:
        """Predict with the neighbours."""
        self._used = self._mixture
        try:
            yield
        finally:
            self._used = None

    @property
    def _mixture(self) -> Mixture:
        if not self.calibrates:
            return self.choices[0]
        k, temperature, weight = self.chosen_mixture.tolist()
        return Mixture(int(k), temperature, weight)

    @property
    def calibrates(self) -> bool:
        """Whether an option leaves val a choice."""
        return len(self.choices) > 1

    @torch.no_grad()
    def calibrate(self, val: LabelledFeatures, later: Tensor) -> None:
        """Choose k, temperature and weight, the first of equals, by the neighbours of classes that steps have seen."""
        bank = self.bank.without_classes(later) if len(later) else self.bank
        scores = torch.zeros(len(self.choices), 2, dtype=torch.float64, device=val.features.device)
        most = max(choice.k for choice in self.choices)
        for block, found in nearest_in_blocks(val.features, None, bank, k=most):
            labels, head = val.labels[block], self._mixable(self.head(val.features[block]))
            votes: dict[tuple[int, float], Tensor] = {}
            for score, (k, temperature, weight) in zip(scores, self.choices, strict=True):
                if (k, temperature) not in votes:
                    votes = {
                        (k, temperature): weighted_vote(
                            found,
                            num_classes=self.num_classes,
                            k=k,
                            temperature=None if self.ranks_vote else temperature,
                        )
                    }
                logits = self._mixed(head, votes[k, temperature], weight)
                add_to_score(score, logits, labels)
        self.chosen_mixture.copy_(torch.tensor(best_choice(self.choices, scores), dtype=torch.float64))

    @property
    def chosen(self) -> dict[str, float]:
        """What val chose, of what it was left to choose."""
        if not self.calibrates:
            return {}
        names = [name for name in Mixture._fields if name != "temperature" or not self.ranks_vote]
        return {name: getattr(self._mixture, name) for name in names}

    def support_bank(self, mode: str) -> FeatureBank:
        """The neighbours."""
        return self.bank

    def support_indices(self, mode: str, labels: Tensor) -> Tensor:
        """The whole training split."""
        return torch.arange(len(labels))

    def set_support(self, reference: LabelledFeatures) -> None:
        """Replace the neighbours."""
        self.bank.set(*l2_normalize(reference))

    def memories(self, mode: str) -> dict[str, Memory]:
        """The neighbours."""
        return {"neighbours": self.bank}

    def add_to_memories(self, added: LabelledFeatures, mode: str) -> None:
        """Further neighbours, also of classes that no step has seen."""
        self.bank.add(*l2_normalize(added))

    @property
    def takes_new_classes(self) -> bool:  # type: ignore[override]
        """Where probabilities are mixed; a logit of minus infinity would win over any vote."""
        return not self.mixes_logits

    def add_classes(self, number: int) -> None:
        """Room for classes that neither the head nor the bank knew."""
        self.num_classes += number


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
