"""docs/METHODS.md: what trains, where, how many parameters, by which recipe; counted in models that are built."""

from collections.abc import Iterator
from typing import Any

from analysis.contents import with_contents
from analysis.methods.build import CLASSES, Built, build, choices
from analysis.methods.entries import ENTRIES, HEADS, Sizes
from hma_ft.config.schema import BackboneTuning, MethodConfig, TokenType

REFERENCE = "vit_b16"

_HEAD = f"""# Methods

For whoever chooses a method: what `method=NAME` and `method/peft=NAME` train, where, how many parameters that is, by
which recipe, and the papers. `python -m analysis.methods` writes this page; `python -m analysis.methods --model NAME`
prints it for another model than ViT-B/16. Counts are those of models that were built; heads are for the {CLASSES}
classes of DTD.

Two choices make a method: what trains inside a frozen backbone (`method/peft`, below) and the head on its features
(`method`). They go together freely: `method=hma_head method/peft=lora` is HMA over features that LoRA adapts. Such a
run is named by its `method`: give it another name by `method.name=NAME`, or compare by `--by method,method.peft.name`.
"""

_EQUIVALENT = """## The same thing under two names

- `tokens_standard` without the class token is VPT-deep, and `tokens_prop` VPT-shallow: the same function of the same
  parameters, with other initial values (N(0, 0.02)), another number, and no dropout.
- `method=head method/peft=X` is `method=X` but for the recipe.
- DoRA with its magnitudes at |W + s B A| is LoRA.
- An adapter with `placement=pfeiffer` is `houlsby` without those behind attention.
- LoRA, DoRA, adapters and AdaptFormer begin as the bare model, bit for bit (LoRA and DoRA on BEiT and EVA to rounding);
  SSF does at gamma 1 and beta 0.
- LoRA, DoRA, and SSF where every layer has a bias, merge into timm's own weights: `task=export` writes plain timm, and
  for LoRA and DoRA an adapter folder for Hugging Face's peft. BitFit, norm and partial tuning are timm's own weights.

- `ridge`, `lda`, `logreg` and `head` are linear layers on the feature, found in different ways; `ncm` with
  `method.options.transform=un` is one too. `task=export` writes plain timm for them.
- `head_knn` at weight 0 is `head`, at weight 1 `knn` with the same k and temperature.

Left out: Convpass, RepAdapter and FacT, within 0.6 points of adapters on VTAB-1k where all were trained alike (Mai et
al., CVPR 2025).
"""


def page(model: str = REFERENCE) -> str:
    """The whole page for a choice of conf/model."""
    return with_contents("\n".join([_HEAD, *_methods(model), "", *_heads(), "", *_peft(model), "", _EQUIVALENT]))


def _methods(model: str) -> Iterator[str]:
    yield "## method=\n"
    yield f"| method | head | trains in the backbone | parameters ({model}) | recipe |"
    yield "|---|---|---|---:|---|"
    for name in choices("method"):
        counted = build(f"method={name}", f"model={model}")
        method = counted.config.method
        trained, _ = counted.method.parameter_counts()
        head = method.target.rpartition(".")[2]
        yield f"| `{name}` | {head} | {_inside(method)} | {trained:,} | {_recipe(counted)} |"


def _heads() -> Iterator[str]:
    yield "## Heads\n"
    yield "h is the feature of an image [D], f a linear layer, C the number of classes, N that of training images.\n"
    yield "| head | formula | parameters | paper |"
    yield "|---|---|---|---|"
    for name, head in HEADS.items():
        yield f"| {name} | {_in_cell(head.formula)} | {head.parameters} | {head.paper} |"


def _peft(model: str) -> Iterator[str]:
    yield "## method/peft=\n"
    yield "D is the width, L the number of blocks, p the side of a patch in pixels; the head is not counted.\n"
    yield f"| method/peft | what trains, where | options | parameters | {model} | paper |"
    yield "|---|---|---|---|---:|---|"
    for name in choices("method/peft"):
        if name == "none":
            continue
        entry = ENTRIES[name]
        counted = build("method=head", f"method/peft={name}", f"model={model}")
        backbone, method = counted.method.backbone, counted.config.method
        trained = sum(parameter.numel() for parameter in backbone.parameters() if parameter.requires_grad)
        options = dict(method.peft.options)
        if method.tokens.type is not TokenType.none:
            options = {"number": method.tokens.number}
        if model == REFERENCE and trained != entry.parameters(Sizes(backbone.width, backbone.depth), options):
            raise AssertionError(f"{name} trains {trained} parameters, which is not {entry.formula}")
        if method.peft.drop_path:
            options["drop path of the backbone"] = method.peft.drop_path
        listed = ", ".join(f"{option} {_plain(value)}" for option, value in options.items())
        yield f"| `{name}` | {_in_cell(entry.where)} | {listed} | {entry.formula} | {trained:,} | {entry.paper} |"


def _inside(method: MethodConfig) -> str:
    if method.backbone is BackboneTuning.full:
        return "everything"
    names = ["class token"] if method.class_token else []
    if method.tokens.type is not TokenType.none:
        names.append(f"{method.tokens.number} memory tokens ({method.tokens.type.value})")
    if method.peft.target is not None:
        names.append(f"`{method.peft.name}`")
    return ", ".join(names)


def _recipe(counted: Built) -> str:
    if not counted.method.requires_training:
        return "one pass over the features"
    recipe = counted.config.method.recipe
    decay = f", weight decay {recipe.weight_decay:g}" if recipe.weight_decay else ""
    return (
        f"{recipe.optimizer} {recipe.lr:g}{decay}; {recipe.max_steps} steps of {recipe.batch_size}, "
        f"{recipe.warmup_steps} of warm-up"
    )


def _in_cell(text: str) -> str:
    """Bars are no ends of a cell."""
    return text.replace("|", "\\|")


def _plain(value: Any) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else f"{value}"
