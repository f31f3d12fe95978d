"""What is known of the heads, and of each choice of conf/method/peft: formula, parameters, who proposed it."""

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


class Head(NamedTuple):
    """One row of the table of heads; h is the feature of an image, f the linear layer on it."""

    formula: str
    parameters: str  # that train, or are solved for; of D, C classes, S slots a class
    paper: str


HEADS: dict[str, Head] = {  # by the class that `method.target` names
    "Linear": Head("f(h) = W h + b", "C D + C", "-"),
    "MLPHead": Head(
        "U GELU(V h + a) + b",
        "as many as `hma_head` has, by its hidden width",
        "a control without memory",
    ),
    "HMA": Head(
        "f of h that has attended to a queue of training images, S slots a class and the batch",
        "4 W^2 and more, W = D + 64; C S D",
        "Qiu et al., arXiv 2310.10909",
    ),
    "KNN": Head("vote of the k nearest training images, weights exp(cos / T)", "0; stores N D", "Wu et al., CVPR 2018"),
    "HeadKNN": Head(
        "w vote of the neighbours + (1 - w) softmax f(h)",
        "C D + C; stores N D",
        "Khandelwal et al., ICLR 2020; Jia et al., arXiv 2112.08459; Geirhos et al., ICML 2025 (rank voting)",
    ),
    "Cache": Head(
        "f(h) + alpha exp(-beta (1 - cos(h, keys))) one-hot labels; the keys start as training features and train",
        "C D + C + K C D, K keys a class",
        "Zhang et al., ECCV 2022 (Tip-Adapter-F, without text)",
    ),
    "NCM": Head(
        "nearest class mean of centred features of length 1", "0; C D solved for", "Wang et al., arXiv 1911.04623"
    ),
    "Ridge": Head(
        "W = (X'X + lambda I)^-1 X'Y on standardised features", "0; C D + C solved for", "big_vision's fewshot_lsr"
    ),
    "KernelRidge": Head(
        "sum over training images of exp(-gamma |h - h_i| / d) a_i, a = (K + lambda I)^-1 (Y - prior)",
        "0; stores N (D + C)",
        "Belkin et al., ICML 2018",
    ),
    "RanPAC": Head("ridge on ReLU(h P), P random [D, M]", "0; C M solved for", "McDonnell et al., NeurIPS 2023"),
    "LDA": Head(
        "linear discriminant with a shrunken within-class covariance", "0; C D + C solved for", "Wang et al., ICLR 2024"
    ),
    "LogReg": Head(
        "f(h) by L-BFGS, C chosen on val",
        "0; C D + C solved for",
        "Oquab et al., TMLR 2024",
    ),
}
