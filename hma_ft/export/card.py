"""README.md of an export: a model card written from the run's record. Every figure in it was recorded or measured."""

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from hma_ft.config.schema import Config, Precision, TokenType
from hma_ft.data.variants import in_words
from hma_ft.export.intervals import intervals
from hma_ft.export.own_layout import plain
from hma_ft.export.peft_adapter import PEFT_FOLDER, PeftAdapter
from hma_ft.export.preparation import resizing_in_words

VERSIONS = ("torch", "torchvision", "timm", "safetensors", "onnx", "onnxruntime", "numpy")
SETTINGS = ("method", "optimizer", "scheduler", "augment", "trainer")
NAMES_UP_TO = 30  # classes that are listed; config.json has all


class Exported(NamedTuple):
    """What the export wrote and measured."""

    timm_difference: float | None  # largest difference of plain timm's logits; None: not in timm's layout
    peft: PeftAdapter | None  # the folder for Hugging Face peft, where the method is one of its
    onnx: dict[str, tuple[str, float]]  # inference mode: file, largest difference of onnxruntime's logits
    checked_on: str  # what the differences were measured on
    preparation: dict[str, Any]
    class_names: list[str]
    holds_training_features: bool  # real memory, support set, neighbours
    licence: str | None  # of the pretrained weights, where timm knows it


class Record(NamedTuple):
    """What a run directory says."""

    directory: Path
    config: Config
    result: dict[str, Any]
    env: dict[str, Any]
    data: dict[str, Any]


def read_record(directory: Path, config: Config) -> Record:
    """The JSON files of a finished run."""
    result, env, data = (
        json.loads((directory / name).read_text()) for name in ("result.json", "env.json", "data.json")
    )
    return Record(directory, config, result, env, data)


def card(record: Record, exported: Exported) -> str:
    """Markdown with the front matter that model hubs read."""
    config = record.config
    front: dict[str, Any] = {
        "library_name": "timm" if exported.timm_difference is not None else "pytorch",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", config.method.name],
        "base_model": f"timm/{config.model.name}" if config.model.pretrained and not config.model.weights else None,
    }
    sections = [
        "---\n" + yaml.safe_dump({k: v for k, v in front.items() if v}, sort_keys=False) + "---",
        f"# {config.method.name} on {config.dataset.name} ({config.model.short_name})",
        _summary(record, exported),
        "## Use\n\n" + _use(exported),
        "## Figures\n\n" + _figures(record),
        "## Data\n\n" + _data(record, exported),
        "## Method and training\n\n" + _training(record),
        "## Limits\n\n" + "\n".join(f"- {limit}" for limit in _limits(record, exported)),
        "## To repeat it\n\n" + _repeat(record),
    ]
    return "\n\n".join(sections) + "\n"


def _summary(record: Record, exported: Exported) -> str:
    top1, config = intervals(record.directory / "predictions.npz")["top1"], record.config
    start = "fine-tuned" if config.model.pretrained or config.model.weights else "trained from random weights"
    return (
        f"`{config.model.name}`, {start} by the method `{config.method.name}` to tell {len(exported.class_names)} "
        f"classes of {config.dataset.name} apart: {top1.value:.1%} of {record.data['test']} test images right "
        f"(95 % interval {top1.low:.1%} to {top1.high:.1%})."
    )


def _use(exported: Exported) -> str:
    if exported.timm_difference is not None:
        weights = (
            "`model.safetensors` and `config.json` are in timm's layout; plain timm loads them:\n\n```python\n"
            'model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()\n'
            "transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))\n```\n\n"
            f"On {exported.checked_on} its logits differ from the run's by at most "
            f"{exported.timm_difference:.1e}."
        )
    else:
        weights = (
            "**timm alone cannot hold this model.** `model.safetensors` and `config.json` have this suite's own names "
            "and load with its code, without the data set:\n\n```python\n"
            "from hma_ft.export.own_layout import load_own_layout\n\n"
            'method, transform, class_names = load_own_layout(Path("FOLDER"))\n```'
        )
    if exported.peft is not None:
        weights += _use_of_peft(exported.peft)
    rows = [f"| `{file}` | {mode} | {difference:.1e} |" for mode, (file, difference) in sorted(exported.onnx.items())]
    prepared = exported.preparation
    turned = "turned as its EXIF orientation says, " if prepared["exif_orientation"] else ""
    return "\n".join(
        [
            weights,
            "",
            "ONNX, the whole model: input `images`, uint8 [batch, 3, "
            f"{prepared['centre_crop']}, {prepared['centre_crop']}], any batch; output `logits`, float32 "
            f"[batch, {len(exported.class_names)}]. Normalisation is inside, class names are in the metadata.",
            "",
            f"| file | inference | largest difference of logits to PyTorch, {exported.checked_on} |",
            "|---|---|---|",
            *rows,
            "",
            f"Prepare an image so: {turned}RGB, {resizing_in_words(prepared)}. A float input of "
            f"the weights is (image / 255 - mean) / std, mean {prepared['mean']}, std {prepared['std']}.",
        ]
    )


def _use_of_peft(adapter: PeftAdapter) -> str:
    checked = f" Its logits differ from the run's by at most {adapter.difference:.1e}." if adapter.difference else ""
    return (
        f"\n\n`{PEFT_FOLDER}/` holds the adapter and the classifier alone, for Hugging Face's peft on the timm model "
        f"with its pretrained weights.{checked}\n\n```python\n"
        f'model = timm.create_model("{adapter.base}", pretrained=True, num_classes={adapter.classes}, '
        f"img_size={adapter.image_size})\n"
        f'model = peft.PeftModel.from_pretrained(model, "FOLDER/{PEFT_FOLDER}").eval()\n```'
    )


def _figures(record: Record) -> str:
    lines = [
        "| test, inference | top-1 | top-5 | mean of classes | NLL (nats) | ECE |",
        "|---|---|---|---|---|---|",
    ]
    headline = record.result["inference"]
    for path in sorted(record.directory.glob("predictions*.npz"), key=lambda path: len(path.stem)):
        suffix = path.stem.removeprefix("predictions")
        prefix, found = f"test{suffix}", intervals(path)
        cells = [
            f"{suffix[1:] or headline}{'' if suffix else ' (headline)'}",
            "{:.2%} [{:.2%}, {:.2%}]".format(*found["top1"]),
            f"{record.result[f'{prefix}/top5']:.2%}",
            "{:.2%} [{:.2%}, {:.2%}]".format(*found["mean_per_class"]),
            "{:.4f} [{:.4f}, {:.4f}]".format(*found["nll"]),
            f"{record.result[f'{prefix}/ece']:.4f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    chosen = f"chosen on val (top-1 {record.result['val/top1']:.2%}, " if "val/top1" in record.result else "the last ("
    lines += [
        "",
        "In brackets: 95 % intervals over test images (top-1: Wilson; mean of classes, NLL: bootstrap). They say "
        f"nothing about other seeds. The weights were {chosen}step {record.result['best/step']}); test was read once.",
    ]
    return "\n".join(lines)


def _data(record: Record, exported: Exported) -> str:
    data, names = record.data, exported.class_names
    listed = ", ".join(names[:NAMES_UP_TO]) + (", ... (all in `config.json`)" if len(names) > NAMES_UP_TO else "")
    harder = "".join(f" {said}" for said in in_words(record.config.dataset))
    return (
        f"{record.config.dataset.name}: {data['train']} images to train, {data['val']} to choose, {data['test']} to "
        f"test; {_digests(data)}; split seed {record.config.dataset.split_seed}.{harder}\n\n"
        f"Classes, in the order of the logits: {listed}."
    )


def _digests(data: dict[str, Any]) -> str:
    """Digests of the splits; of content in records that have it."""
    what, kind = ("image contents", "content") if "test_content" in data else ("file names", "digest")
    return (
        f"digests of {what} and labels {', '.join(str(data[f'{split}_{kind}']) for split in ('train', 'val', 'test'))}"
    )


def _training(record: Record) -> str:
    config, result = record.config, record.result
    tokens, peft = config.method.tokens, config.method.peft
    facts = [
        f"Method `{config.method.name}` (`{config.method.target}`): backbone {config.method.backbone.value}"
        + (", class token trains" if config.method.class_token else "")
        + (f", {tokens.number} memory tokens ({tokens.type.value})" if tokens.type is not TokenType.none else "")
        + (f", {peft.name} {_listed(peft.options)}".rstrip() if peft.target is not None else "")
        + ".",
        f"Parameters: {result['params/trainable']:,} trainable of {result['params/total']:,}.",
        f"{_steps(config) if result['params/trainable'] else 'No training, one pass over the features'}; "
        f"{config.trainer.precision.value}; seed {config.seed}.",
        f"{result['time/wall_s']:.0f} s in all on {record.env['device']}, peak memory "
        f"{result['memory/peak_bytes'] / 2**20:,.0f} MiB.",
    ]
    settings = {name: plain(dataclasses.asdict(getattr(config, name))) for name in SETTINGS}
    details = f"<details><summary>All settings</summary>\n\n```yaml\n{yaml.safe_dump(settings)}```\n\n</details>"
    return "\n".join(f"- {fact}" for fact in facts) + "\n\n" + details


def _steps(config: Config) -> str:
    return (
        f"Optimizer {config.optimizer.name}, learning rate {config.optimizer.lr:g}, weight decay "
        f"{config.optimizer.weight_decay:g}; {config.scheduler.name} schedule, {config.scheduler.warmup_steps} steps "
        f"of warm-up; {config.trainer.max_steps} steps of {config.trainer.batch_size} images"
    )


def _listed(options: dict[str, Any]) -> str:
    return f"({', '.join(f'{name} {value}' for name, value in options.items())})" if options else ""


def _limits(record: Record, exported: Exported) -> list[str]:
    counts = f"{len(exported.class_names)} classes"
    limits = [
        f"Every image gets one of the {counts}, also one that shows none of them.",
        "The figures hold for images like the test split's; other cameras, places or times were not tested.",
        f"One run with one seed ({record.config.seed}): whether the method is better than another takes several seeds.",
        f"Probabilities are not recalibrated; the expected calibration error is {record.result['test/ece']:.4f}.",
    ]
    precision = record.config.trainer.precision
    if precision is not Precision.fp32:
        limits.append(f"The run computed in {precision.value}; these files compute in fp32, so the last digits differ.")
    shared = [f"{n} in {split}" for split in ("train", "val") if (n := record.data.get(f"test_in_{split}"))]
    if shared:
        limits.append(f"Of the {record.data['test']} test images some are also {' and '.join(shared)}, byte for byte.")
    if exported.holds_training_features:
        limits.append("The files hold features of training images: mind it where those are private.")
    origin = f"The pretrained weights' licence holds for these too: {exported.licence}."
    if record.config.model.pretrained or record.config.model.weights:
        limits.append(origin if exported.licence else "Mind the licence of the pretrained weights.")
    return limits


def _repeat(record: Record) -> str:
    env, git = record.env, record.env.get("git", {})
    commit = (git.get("commit") or "unknown") + (", with uncommitted changes" if git.get("dirty") else "")
    versions = [f"{name} {env['packages'][name]}" for name in VERSIONS if name in env.get("packages", {})]
    return (
        f"```\n{env['command']}\n```\n\nCommit {commit}. Python {env['python']}, {', '.join(versions)}. "
        "More is in the run's own `result.json`, `config.yaml` and `env.json`."
    )
