"""The released model, rebuilt from its flags and its weights: the bridge to published checkpoints and exact numbers."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from hma_ft.config.schema import (
    HMAConfig,
    Inference,
    LabelStorage,
    LogitsFrom,
    RealMemoryConfig,
    SlotInit,
    SyntheticMemoryConfig,
)
from hma_ft.hma.head import HMAHead
from hma_ft.hma.momentum import MomentumEncoder

_LOGITS = {"all": LogitsFrom.all, "feature": LogitsFrom.feature, "label_emb": LogitsFrom.label}
_ATTENTION = {
    "fc_q": "query",
    "fc_k": "key",
    "fc_v": "value",
    "ln0": "query_norm",
    "ln0KV": "memory_norm",
    "ln1": "ffn_norm",
    "rff.0": "ffn.0",
    "rff.2": "ffn.3",  # the release without dropout layers
    "rff.3": "ffn.3",
}
_HEAD = {
    "label_embeddings.weight": "labels.embedding.weight",
    "global_memories": "synthetic_memory.slots",
    "fc.weight": "classifier.weight",
    "fc.bias": "classifier.bias",
}
_BLOCKS = {"local_read_block.mab.": "real_attention.", "ABD_block.mab.": "context_attention."}


class ReleasedHMA(nn.Module):
    """`model(x, labels=None) -> logits [B, C]`; with labels, in training, the batch is queued after it was read."""

    def __init__(self, encoder: nn.Module, head: HMAHead, momentum: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.momentum_encoder = MomentumEncoder(encoder, momentum) if momentum > 0 else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits of a batch [B, ...] that attends to itself."""
        features = self.encoder(x)
        logits = self.head(features)
        if self.training and labels is not None and self.head.real_memory is not None:
            if self.momentum_encoder is not None:
                self.momentum_encoder.update(self.encoder)
                features = self.momentum_encoder(x)
            self.head.real_memory.fork()
            self.head.write(features, labels)
        return logits


def head_config(flags: Mapping[str, Any]) -> HMAConfig:
    """The switches that reproduce the release with these flags, given by their released names.

    Without `abd_augmentation` the release has neither attention between datapoints nor synthetic memory.
    """
    batch_attention = bool(flags["abd_augmentation"])
    return HMAConfig(
        label_width=flags["label_hidden"],
        heads=flags["num_heads"],
        score_scale=flags["softmax_temp"],
        top_k=flags["topk"],
        renormalise_top_k=bool(flags["norm_after_topk"]),
        null_key=bool(flags["null_KV"]),
        dropout=flags.get("dropout", 0.0),
        logits_from=_LOGITS[flags["logits_resource"]],
        batch_attention=batch_attention,
        inference=Inference.batch,
        real=RealMemoryConfig(
            size=flags["local_mem_size"],
            momentum=flags["encoder_momentum"],
            mask_unfilled=False,
            store=LabelStorage.vectors,
            exclude_self=False,
        ),
        synthetic=SyntheticMemoryConfig(
            slots=flags["global_memory_number"] if batch_attention else 0,
            init=SlotInit.gaussian if flags["gaussain_mem"] else SlotInit.zeros,
        ),
    )


def load(config: Mapping[str, Any], state: Mapping[str, Tensor], encoder: nn.Module) -> ReleasedHMA:
    """The suite's HMA around `encoder` (x -> features [B, D]) with a released state dict in it.

    `config` holds the flags by their released names. Raises KeyError for a flag that is missing and RuntimeError,
    with the names, for weights that are missing, left over or of another shape.
    """
    num_classes = len(state["fc.weight"])
    feature_width = _feature_width(config, state)
    dtype = state["fc.weight"].dtype
    head = HMAHead(feature_width, num_classes, head_config(config)).to(dtype)
    model = ReleasedHMA(encoder.to(dtype), head, config["encoder_momentum"])
    translated = {translate(name): value for name, value in state.items() if not name.startswith("queue")}
    own = model.state_dict()
    if head.real_memory is not None:
        translated |= _queue(state, feature_width, {name: own[name] for name in own if "real_memory" in name})
    model.load_state_dict(
        {name: value.reshape(own[name].shape) if name in own else value for name, value in translated.items()}
        | {name: value for name, value in own.items() if name.startswith("head.support")}
    )
    return model


def translate(name: str) -> str:
    """The name in this suite of a released parameter."""
    if name.startswith("encoder."):
        return name
    if name.startswith("momen_encoder."):
        return name.replace("momen_encoder.", "momentum_encoder.encoder.", 1)
    if name in _HEAD:
        return "head." + _HEAD[name]
    for released, own in _BLOCKS.items():
        if name.startswith(released):
            rest = name.removeprefix(released)
            if rest == "null_k":
                return f"head.{own}null_key"
            module, _, kind = rest.rpartition(".")
            return f"head.{own}{_ATTENTION[module]}.{kind}"
    raise KeyError(f"no such parameter in the release: {name}")


def _feature_width(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> int:
    """D, from whichever weight tells it."""
    if config["logits_resource"] == "feature":
        return state["fc.weight"].shape[1]
    if config["logits_resource"] == "all":
        return state["fc.weight"].shape[1] - config["label_hidden"]
    widths = [value.shape[-1] for name, value in state.items() if name.endswith("fc_q.weight")]
    return widths[0] - config["label_hidden"]


def _queue(state: Mapping[str, Tensor], feature_width: int, fresh: dict[str, Tensor]) -> dict[str, Tensor]:
    """The released queue of rows [R, D + L] as this suite's buffers; its label ids are not known."""
    prefix = "head.real_memory."
    queue = state["queue"]
    return fresh | {
        prefix + "features": queue[:, :feature_width],
        prefix + "vectors": queue[:, feature_width:],
        prefix + "pointer": state["queue_ptr"].reshape(()),
    }
