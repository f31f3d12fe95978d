"""Heads in closed form: the weights of a linear classifier are a formula of the training images, without a step.

So images can be added, of new classes too, and removed after training, exactly as if the head had been fitted anew with
them or without; what val has chosen stays as it was chosen.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence

import psutil
import torch
from torch import Tensor, nn
from torch.nn import functional

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import MethodConfig
from hma_ft.errors import UserError
from hma_ft.memory.class_sums import ClassSums
from hma_ft.methods.base import LabelledFeatures, Memory, Method
from hma_ft.methods.choose import Choice, Solution, choose


class ClosedForm(Method):
    """logits = scale * (W x + b) with x = lift(h), in float64.

    W and b are a formula of the training images; val chooses its hyperparameter and the scale.
    A subclass keeps what its formula needs of training images (`remember`, `extend`, `forget`) and implements
    `solutions`.
    """

    fits = True
    excludes_own_rows = False
    takes_new_classes = True
    hyperparameter: str | None = None  # its name, if val chooses one

    weight: Tensor
    bias: Tensor
    scale: Tensor
    value: Tensor

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        config: MethodConfig,
        soft_labels: bool,
        *,
        lifted_width: int | None = None,
        candidates: Sequence[float] = (0.0,),
    ) -> None:
        """`candidates`: values of the hyperparameter; `lifted_width` M: that of the features if None."""
        super().__init__(backbone, num_classes, config, soft_labels)
        self.name = config.name
        self.candidates = [float(value) for value in candidates]
        width = lifted_width or backbone.width
        self.register_buffer("weight", torch.zeros(num_classes, width, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros(num_classes, dtype=torch.float64))
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))
        self.register_buffer("value", torch.tensor(self.candidates[0], dtype=torch.float64))

    @abstractmethod
    def remember(self, train: LabelledFeatures) -> None:
        """Keep what the formula needs of these images, and of no others."""

    @abstractmethod
    def extend(self, added: LabelledFeatures) -> None:
        """Keep it of further images too."""

    @abstractmethod
    def forget(self, ids: Tensor, fetch: Callable[[Tensor], LabelledFeatures]) -> int:
        """Take images out; `fetch` gives the features that they were kept with. The number that was in."""

    @abstractmethod
    def solutions(self, values: Sequence[float]) -> Iterator[Solution]:
        """The classifiers for these values of the hyperparameter, without those that can't be computed."""

    @property
    @abstractmethod
    def class_counts(self) -> Tensor:
        """Images that are kept of each class, [C]."""

    def lift(self, features: Tensor) -> Tensor:
        """What the classifier is linear in: features float64 [B, D] -> [B, M]."""
        return features

    def lookup_features(self, features: Tensor) -> Tensor:
        """What the classifier is linear in."""
        return self.lift(features.double())

    @torch.no_grad()
    def fit(self, train: LabelledFeatures, val: LabelledFeatures, later: LabelledFeatures | None = None) -> None:
        """Choose on val with what is known by then, and solve with everything."""
        self.remember(train)
        best = self.choose(val)
        if best is None:
            raise self.unsolvable(self.candidates)
        self.value.fill_(best.solution.value)
        self.scale.fill_(best.scale)
        if later is not None:
            self.extend(later)
        self._solve()

    def choose(self, val: LabelledFeatures) -> Choice | None:
        """What val chooses of all that can be solved from what is kept; None if nothing can."""
        return choose(self.solutions(self.candidates), val, self.class_counts > 0, lift=self.lift)

    def unsolvable(self, values: Sequence[float]) -> UserError:
        """What to say where none of these values of the hyperparameter has a solution."""
        listed = ", ".join(f"{value:g}" for value in values)
        return UserError(
            f"method={self.name} can't be fitted: no solution in double precision with {self.hyperparameter} {listed}; "
            "give larger values"
        )

    def classify(self, features: Tensor, ids: Tensor | None) -> Tensor:
        """Features [B, D] -> logits [B, C]."""
        logits = functional.linear(self.lift(features.double()), self.weight, self.bias)
        return logits.to(torch.promote_types(features.dtype, torch.float32))

    def add_to_memories(self, added: LabelledFeatures, mode: str) -> None:
        """Solve with further images, also of classes that no fit has seen."""
        self.extend(added)
        self._solve()

    def remove_from_memories(
        self, ids: Tensor, mode: str, fetch: Callable[[Tensor], LabelledFeatures]
    ) -> dict[str, int]:
        """Solve without some images."""
        (name,) = self.memories(mode)
        removed = self.forget(ids, fetch)
        self._solve()
        return {name: removed}

    def add_classes(self, number: int) -> None:
        """Room for classes that the run did not know."""
        self.num_classes += number

    @property
    def chosen(self) -> dict[str, float]:
        """The hyperparameter."""
        return {self.hyperparameter: float(self.value)} if self.hyperparameter and len(self.candidates) > 1 else {}

    def parameter_counts(self) -> tuple[int, int]:
        """None that a step trains; the classifier counts among all."""
        _, total = super().parameter_counts()
        return 0, total + self.weight.numel() + self.bias.numel()

    @torch.no_grad()
    def _solve(self) -> None:
        """The classifier for the value that was chosen, from what is kept now."""
        present = self.class_counts > 0
        if not bool(present.any()):
            raise UserError(f"method={self.name} can't be fitted: no training image is left")
        solution = next(self.solutions([float(self.value)]), None)
        if solution is None:
            raise self.unsolvable([float(self.value)])
        self.weight, self.bias = solution.scaled(float(self.scale), present)


class FromSums(ClosedForm):
    """A head whose formula needs no more than additive sums, and whose classifier is linear in the features."""

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        config: MethodConfig,
        soft_labels: bool,
        *,
        candidates: Sequence[float] = (0.0,),
    ) -> None:
        super().__init__(backbone, num_classes, config, soft_labels, candidates=candidates)
        self.sums = ClassSums(backbone.width, num_classes)

    def remember(self, train: LabelledFeatures) -> None:
        """Their sums."""
        self.sums.set(*train)

    def extend(self, added: LabelledFeatures) -> None:
        """Add to the sums."""
        self.sums.add(*added)

    def forget(self, ids: Tensor, fetch: Callable[[Tensor], LabelledFeatures]) -> int:
        """Subtract from the sums."""
        return forget_from(self.sums, ids, fetch)

    @property
    def class_counts(self) -> Tensor:
        """Images of each class, [C]."""
        return self.sums.counts

    def memories(self, mode: str) -> dict[str, Memory]:
        """The sums."""
        return {"sums": self.sums}

    def add_classes(self, number: int) -> None:
        """Room for classes that the run did not know."""
        super().add_classes(number)
        self.sums.add_classes(number)

    def linear_classifier(self) -> nn.Linear:
        """The classifier in single precision."""
        return as_linear(self.weight, self.bias)


def forget_from(
    sums: ClassSums,
    ids: Tensor,
    fetch: Callable[[Tensor], LabelledFeatures],
    lift: Callable[[Tensor], Tensor] | None = None,
) -> int:
    """Subtract those of some images that are in; their number."""
    held = ids[sums.holds(ids).to(ids.device)]
    if len(held):
        sums.remove(*fetch(held), lift=lift)
    return len(held)


def as_linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A layer in single precision with these weights, [C, D] and [C]."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer.requires_grad_(False)


def free_bytes(device: torch.device) -> int:
    """Memory that is free where tensors of this device lie."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


def cholesky(matrix: Tensor) -> Tensor | None:
    """The lower factor of a symmetric matrix; None if it is not positive definite to the precision at hand."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    return None if bool(failed) or not bool(factor.isfinite().all()) else factor
