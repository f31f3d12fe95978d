"""The class token as the only thing that trains in a frozen backbone (flag `--tune_cls` of the release)."""

from hma_ft.peft.adapted import Adapted, TimmViT, UnsupportedModel

_NAMES = frozenset({"cls_token", "dist_token"})


def train_class_token(vit: TimmViT) -> Adapted:
    """Choose the class token; the distillation token of a distilled model counts as one: half of its feature.

    Raises:
        UnsupportedModel: a model without a class token.
    """
    found = _NAMES & {name for name, _ in vit.named_parameters()}
    if not found:
        raise UnsupportedModel(f"{vit.pretrained_cfg['architecture']} has no class token")
    return Adapted(found)
