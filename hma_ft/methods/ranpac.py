"""Ridge regression on random features: RanPAC (McDonnell et al., NeurIPS 2023) on a frozen backbone."""

from collections.abc import Callable, Iterator, Sequence

import psutil
import torch
from torch import Tensor
from torch.nn import functional

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import MethodConfig
from hma_ft.errors import UserError
from hma_ft.memory.bank import FeatureBank
from hma_ft.memory.class_sums import ClassSums
from hma_ft.methods.base import LabelledFeatures, Memory
from hma_ft.methods.choose import Solution
from hma_ft.methods.closed_form import ClosedForm, cholesky, forget_from, free_bytes
from hma_ft.methods.options import COUNT, POSITIVE, list_of, read_options

COPIES = 3  # of the larger matrix that a solution holds at once: it, it with the ridge, its factor


class RanPAC(ClosedForm):
    """logits = scale * ReLU(h R) W with R [D, M] drawn from N(0, 1), and for x = ReLU(h R), G = X^T X, Q = X^T onehot,

        W = (G + ridge I)^-1 Q.

    `options`: width M, and ridge, the values that val chooses from. G and Q are sums over images. While there are fewer
    images than random features, W is the same as X^T (X X^T + ridge I)^-1 onehot; then the images' own features are
    kept, which are less than G.
    """

    hyperparameter = "ridge"

    directions: Tensor

    def __init__(self, backbone: Backbone, num_classes: int, config: MethodConfig, soft_labels: bool) -> None:
        options = read_options(config, {"width": COUNT, "ridge": list_of(POSITIVE)})
        width = options["width"]
        _require_room(width, 4 * width * (backbone.width + 2 * num_classes), psutil.virtual_memory().total)
        super().__init__(backbone, num_classes, config, soft_labels, lifted_width=width, candidates=options["ridge"])
        self.register_buffer("directions", torch.randn(backbone.width, width))
        self.bank = FeatureBank(backbone.width)
        self.sums = ClassSums(width, num_classes)

    def remember(self, train: LabelledFeatures) -> None:
        """Their features, or sums where these are less."""
        self.bank.set(*train)
        self._condense()

    def extend(self, added: LabelledFeatures) -> None:
        """Further ones; features become sums once there are enough of them."""
        if len(self.sums):
            self.sums.add(*added, lift=self.lift)
        else:
            self.bank.add(*added)
            self._condense()

    def forget(self, ids: Tensor, fetch: Callable[[Tensor], LabelledFeatures]) -> int:
        """Take them out."""
        if len(self.sums):
            return forget_from(self.sums, ids, fetch, lift=self.lift)
        return self.bank.remove(ids)

    @property
    def class_counts(self) -> Tensor:
        """Images of each class, [C]."""
        if len(self.sums):
            return self.sums.counts
        return self.bank.labels.bincount(minlength=self.num_classes)

    def lift(self, features: Tensor) -> Tensor:
        """ReLU(h R)."""
        return (features @ self.directions.double()).relu()

    def solutions(self, values: Sequence[float]) -> Iterator[Solution]:
        """One for each ridge under which the matrix is positive definite in double precision."""
        dual = None if len(self.sums) else self.lift(self.bank.features.double())
        if dual is None:
            gram, targets = self.sums.gram, self.sums.sums.T
        else:
            gram = dual @ dual.T
            targets = functional.one_hot(self.bank.labels, self.num_classes).double()
        identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        for ridge in values:
            factor = cholesky(gram + ridge * identity)
            if factor is not None:
                solved = torch.cholesky_solve(targets, factor).T
                weight = solved if dual is None else solved @ dual
                yield Solution(ridge, weight, weight.new_zeros(self.num_classes))

    def parameter_counts(self) -> tuple[int, int]:
        """None that a step trains; the random directions count among all, as a prediction reads them."""
        _, total = super().parameter_counts()
        return 0, total + self.directions.numel()

    def memories(self, mode: str) -> dict[str, Memory]:
        """Features or sums."""
        return {"sums": self.sums} if len(self.sums) else {"features": self.bank}

    def add_classes(self, number: int) -> None:
        """Room for classes that the run did not know."""
        super().add_classes(number)
        self.sums.add_classes(number)

    def _condense(self) -> None:
        """Turn features into sums once there are as many images as random features."""
        images, width = len(self.bank), self.sums.width
        elements = width**2 if images >= width else images**2 + images * width
        _require_room(width, 8 * COPIES * elements, free_bytes(self.weight.device))
        if images >= width:
            bank = self.bank
            self.sums.set(bank.features, bank.labels, bank.ids, centred=False, lift=self.lift)
            bank.set(*(column[:0] for column in (bank.features, bank.labels, bank.ids)))


def _require_room(width: int, needed: int, free: int) -> None:
    """UserError unless so many bytes fit into those that are free."""
    if needed > free:
        raise UserError(
            f"method.options.width={width} needs {needed / 2**30:.1f} GiB of memory, of {free / 2**30:.1f}: give a "
            "smaller width"
        )
