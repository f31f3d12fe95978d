"""k nearest neighbours on frozen features: what the features are worth without any training."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import MethodConfig
from hma_ft.memory.bank import FeatureBank
from hma_ft.methods.base import LabelledFeatures, Memory, Method, joined
from hma_ft.methods.choose import best_choice
from hma_ft.methods.neighbours import knn_probabilities, l2_normalize, nearest_in_blocks, weighted_vote
from hma_ft.methods.options import COUNT, POSITIVE, list_of, one_of, read_options

VOTING = one_of("similarity", "rank")


class KNN(Method):
    """Neighbours are the training split's; k and temperature are chosen on val, by accuracy, then likelihood.

    `options`: k and temperature, the values to choose from; voting, `similarity` or `rank`, which has no temperature.
    """

    fits = True
    takes_new_classes = True

    k: Tensor
    temperature: Tensor

    def __init__(self, backbone: Backbone, num_classes: int, config: MethodConfig, soft_labels: bool) -> None:
        super().__init__(backbone, num_classes, config, soft_labels)
        kinds = {"k": list_of(COUNT), "temperature": list_of(POSITIVE), "voting": VOTING}
        options = read_options(config, kinds, {"voting": "similarity"})
        self.bank = FeatureBank(backbone.width)
        self.ranks_vote = options["voting"] == "rank"
        self.choices = list(itertools.product(options["k"], [1.0] if self.ranks_vote else options["temperature"]))
        self.register_buffer("k", torch.tensor(self.choices[0][0]))
        self.register_buffer("temperature", torch.tensor(float(self.choices[0][1])))
        self._held: tuple[int, float] | None = None  # k and temperature as numbers, read from the device once

    @torch.no_grad()
    def fit(self, train: LabelledFeatures, val: LabelledFeatures, later: LabelledFeatures | None = None) -> None:
        """Choose k and temperature with the images of `train`, of equal choices the first, and store all features."""
        self.bank.set(*l2_normalize(train))
        k, temperature = best_choice(self.choices, self._scores(val))
        self.k.fill_(k)
        self.temperature.fill_(temperature)
        if later is not None:
            self.bank.set(*l2_normalize(joined(train, later)))

    def _scores(self, val: LabelledFeatures) -> Tensor:
        """Images recognised and summed log-likelihood of each choice, float64 [choices, 2].

        The neighbours for the largest k are found once and serve every choice.
        """
        scores = torch.zeros(len(self.choices), 2, dtype=torch.float64, device=val.features.device)
        most = max(k for k, _ in self.choices)
        for block, found in nearest_in_blocks(val.features, None, self.bank, k=most):
            labels = val.labels[block]
            for score, (k, temperature) in zip(scores, self.choices, strict=True):
                probabilities = weighted_vote(
                    found, num_classes=self.num_classes, k=k, temperature=None if self.ranks_vote else temperature
                )
                score[0] += (probabilities.argmax(1) == labels).sum()
                score[1] += probabilities.gather(1, labels.unsqueeze(1)).log().sum(dtype=torch.float64)
        return scores

    def classify(self, features: Tensor, ids: Tensor | None) -> Tensor:
        """Features [B, D] -> log-probabilities [B, C]; an image with an id is no neighbour of its own."""
        k, temperature = self._held or (int(self.k), float(self.temperature))
        return knn_probabilities(
            features,
            ids,
            self.bank,
            num_classes=self.num_classes,
            k=k,
            temperature=None if self.ranks_vote else temperature,
        ).log()

    @contextmanager
    def inference(self, mode: str) -> Iterator[None]:
        """Predict with k and temperature as they are now."""
        self._held = (int(self.k), float(self.temperature))
        try:
            yield
        finally:
            self._held = None

    def memories(self, mode: str) -> dict[str, Memory]:
        """The neighbours."""
        return {"neighbours": self.bank}

    def add_to_memories(self, added: LabelledFeatures, mode: str) -> None:
        """Further neighbours; k and temperature stay."""
        self.bank.add(*l2_normalize(added))

    def add_classes(self, number: int) -> None:
        """Room for classes that the run did not know."""
        self.num_classes += number

    @property
    def chosen(self) -> dict[str, float]:
        """k and, unless ranks vote, the temperature."""
        return {"k": int(self.k)} | ({} if self.ranks_vote else {"temperature": float(self.temperature)})
