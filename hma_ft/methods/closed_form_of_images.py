"""A closed form that keeps the features of its training images, one by one."""

from collections.abc import Callable, Sequence

from torch import Tensor

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import MethodConfig
from hma_ft.memory.bank import FeatureBank
from hma_ft.methods.base import LabelledFeatures, Memory
from hma_ft.methods.closed_form import ClosedForm


class ClosedFormOfImages(ClosedForm):
    """A subclass implements `solutions` from `bank`, which holds every image; nothing is summed up."""

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        config: MethodConfig,
        soft_labels: bool,
        *,
        candidates: Sequence[float] = (0.0,),
    ) -> None:
        """`candidates`: values of the hyperparameter."""
        super().__init__(backbone, num_classes, config, soft_labels, candidates=candidates)
        self.bank = FeatureBank(backbone.width)

    def remember(self, train: LabelledFeatures) -> None:
        """The features."""
        self.bank.set(*train)

    def extend(self, added: LabelledFeatures) -> None:
        """Further features."""
        self.bank.add(*added)

    def forget(self, ids: Tensor, fetch: Callable[[Tensor], LabelledFeatures]) -> int:
        """Fewer features."""
        return self.bank.remove(ids)

    @property
    def class_counts(self) -> Tensor:
        """Images of each class, [C]."""
        return self.bank.labels.bincount(minlength=self.num_classes)

    def memories(self, mode: str) -> dict[str, Memory]:
        """The features."""
        return {"features": self.bank}
