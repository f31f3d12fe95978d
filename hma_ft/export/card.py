"""README.md of an export: a model card written from the run's record. Every figure in it was recorded or measured."""

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from hma_ft.config.schema import Config, TokenType
from hma_ft.data.variants import in_words
from hma_ft.export.intervals import Interval, intervals
from hma_ft.export.own_layout import plain
from hma_ft.export.peft_adapter import PEFT_FOLDER, PeftAdapter
from hma_ft.export.preparation import resizing_in_words
from hma_ft.reporting.templates import render

TEMPLATE = Path(__file__).with_name("card.md.j2")
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
    config, result, data, env = record.config, record.result, record.data, record.env
    settings = {name: plain(dataclasses.asdict(getattr(config, name))) for name in SETTINGS}
    return render(
        TEMPLATE,
        config=config,
        result=result,
        data=data,
        env=env,
        git={"commit": None, "dirty": False} | env.get("git", {}),
        exported=exported,
        front=_front(config, exported),
        pretrained=_pretrained(config),
        class_names=exported.class_names,
        names_up_to=NAMES_UP_TO,
        prepared=exported.preparation,
        resizing=resizing_in_words(exported.preparation),
        peft_folder=PEFT_FOLDER,
        top1=intervals(record.directory / "predictions.npz")["top1"],
        modes=_modes(record),
        digests=_digests(data),
        harder=in_words(config.dataset),
        trained=_trained(config),
        settings=yaml.safe_dump(settings),
        shared=[f"{n} in {split}" for split in ("train", "val") if (n := data.get(f"test_in_{split}"))],
        versions=[f"{name} {env['packages'][name]}" for name in VERSIONS if name in env.get("packages", {})],
    )


def _pretrained(config: Config) -> bool:
    return bool(config.model.pretrained or config.model.weights)


def _front(config: Config, exported: Exported) -> str:
    base = f"timm/{config.model.name}" if config.model.pretrained and not config.model.weights else None
    front: dict[str, Any] = {
        "library_name": "timm" if exported.timm_difference is not None else "pytorch",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", config.method.name],
    }
    return yaml.safe_dump(front | ({"base_model": base} if base else {}), sort_keys=False)


def _modes(record: Record) -> list[tuple[str, dict[str, Interval], float, float]]:
    """Name, intervals, top-5 and calibration error of each inference mode, the headline first."""
    found = []
    for path in sorted(record.directory.glob("predictions*.npz"), key=lambda path: len(path.stem)):
        suffix = path.stem.removeprefix("predictions")
        name = suffix[1:] or f"{record.result['inference']} (headline)"
        top5, ece = (float(record.result[f"test{suffix}/{metric}"]) for metric in ("top5", "ece"))
        found.append((name, intervals(path), top5, ece))
    return found


def _digests(data: dict[str, Any]) -> tuple[str, list[str]]:
    """Digests of the splits, and what of: of content in records that have it."""
    what, kind = ("image contents", "content") if "test_content" in data else ("file names", "digest")
    return what, [str(data[f"{split}_{kind}"]) for split in ("train", "val", "test")]


def _trained(config: Config) -> list[str]:
    """What trains in the backbone."""
    tokens, peft = config.method.tokens, config.method.peft
    names = [config.method.backbone.value, *(["class token trains"] if config.method.class_token else [])]
    if tokens.type is not TokenType.none:
        names.append(f"{tokens.number} memory tokens ({tokens.type.value})")
    if peft.target is not None:
        options = ", ".join(f"{name} {value}" for name, value in peft.options.items())
        names.append(f"{peft.name} ({options})" if options else peft.name)
    return names
