"""What is known of each choice of conf/method/peft: where it acts, how many parameters it trains, who proposed it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Sizes(NamedTuple):
    """Sizes of a plain ViT whose MLP is four times as wide as its tokens."""

    width: int  # D
    depth: int  # L


class Entry(NamedTuple):
    """One row of the table."""

    where: str
    formula: str  # of D and L and the options
    parameters: Callable[[Sizes, Mapping[str, Any]], int]  # the same; options as declared
    paper: str


def _block(sizes: Sizes) -> int:
    """Parameters of a block: attention 4 D^2 + 4 D, MLP 8 D^2 + 5 D, two norms 4 D."""
    return 12 * sizes.width**2 + 13 * sizes.width


def _adapter(sizes: Sizes, bottleneck: int) -> int:
    return 2 * sizes.width * bottleneck + bottleneck + sizes.width


ENTRIES: dict[str, Entry] = {
    "class_token": Entry(
        "the class token (and the distillation token of a distilled model)",
        "D",
        lambda s, o: s.width,
        "released code (--tune_cls)",
    ),
    "tokens_prop": Entry(
        "n tokens beside the input of the first block, which travel to the last",
        "n D",
        lambda s, o: o["number"] * s.width,
        "Sandler et al., CVPR 2022",
    ),
    "tokens_standard": Entry(
        "n tokens beside the input of every block, dropped after it",
        "L n D",
        lambda s, o: s.depth * o["number"] * s.width,
        "Sandler et al., CVPR 2022",
    ),
    "vpt_shallow": Entry(
        "n prompts beside the input of the first block, which travel to the last; U(±√(6 / (3p² + D))), dropout",
        "n D",
        lambda s, o: o["number"] * s.width,
        "Jia et al., ECCV 2022",
    ),
    "vpt_deep": Entry(
        "n prompts beside the input of every block, dropped after it; U(±√(6 / (3p² + D))), dropout",
        "L n D",
        lambda s, o: s.depth * o["number"] * s.width,
        "Jia et al., ECCV 2022",
    ),
    "bitfit": Entry(
        "every bias, of patch embedding and norms too",
        "11 L D + 2 D",
        lambda s, o: 11 * s.depth * s.width + 2 * s.width,
        "Ben Zaken et al., ACL 2022",
    ),
    "layernorm": Entry(
        "weight and bias of every norm",
        "(2 L + 1) 2 D",
        lambda s, o: (2 * s.depth + 1) * 2 * s.width,
        "Basu et al., AAAI 2024",
    ),
    "partial": Entry(
        "the last k blocks and the final norm",
        "k (12 D² + 13 D) + 2 D",
        lambda s, o: o["blocks"] * _block(s) + 2 * s.width,
        "Yosinski et al., NeurIPS 2014",
    ),
    "lora": Entry(
        "W x + s B A x, s = alpha / r, in the attention's projections: one A for the fused one, or each of q, k, v",
        "4 L D r",
        lambda s, o: 4 * s.depth * s.width * o["rank"],
        "Hu et al., ICLR 2022",
    ),
    "dora": Entry(
        "m (W + s B A) x / |W + s B A| there, norms of rows",
        "4 L D r + 3 L D",
        lambda s, o: 4 * s.depth * s.width * o["rank"] + 3 * s.depth * s.width,
        "Liu et al., ICML 2024",
    ),
    "adapter": Entry(
        "h + s U GELU(V h) for the output h of attention and MLP (placement houlsby) or MLP (pfeiffer)",
        "2 L (2 D b + b + D); pfeiffer half",
        lambda s, o: 2 * s.depth * _adapter(s, o["bottleneck"]),
        "Houlsby et al., ICML 2019; Pfeiffer et al., EACL 2021",
    ),
    "adaptformer": Entry(
        "s U ReLU(V x) beside the MLP, x before its norm",
        "L (2 D b + b + D)",
        lambda s, o: s.depth * _adapter(s, o["bottleneck"]),
        "Chen et al., NeurIPS 2022",
    ),
    "adapter_plus": Entry(
        "U GELU(V x) * scale behind each block, a scale of every channel, drop path",
        "L (2 D b + b + 2 D)",
        lambda s, o: s.depth * (_adapter(s, o["bottleneck"]) + s.width),
        "Steitz and Roth, CVPR 2024",
    ),
    "ssf": Entry(
        "gamma y + beta behind patch embedding, every norm and every linear layer of the blocks",
        "2 (11 L D + 2 D)",
        lambda s, o: 2 * (11 * s.depth * s.width + 2 * s.width),
        "Lian et al., NeurIPS 2022",
    ),
}
