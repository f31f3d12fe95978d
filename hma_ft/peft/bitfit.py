"""BitFit: every bias of the backbone trains (Ben Zaken et al., "BitFit", ACL 2022)."""

from hma_ft.peft.adapted import Adapted, TimmViT, UnsupportedModel


def train_biases(vit: TimmViT) -> Adapted:
    """Choose all biases, of patch embedding and norms too; timm's BEiT and EVA call some `q_bias` and `v_bias`.

    Raises:
        UnsupportedModel: a model without biases.
    """
    biases = frozenset(name for name, _ in vit.named_parameters() if name.endswith("bias"))
    if not biases:
        raise UnsupportedModel(f"{vit.pretrained_cfg['architecture']} has no biases")
    return Adapted(biases)
