"""`task=predict run=DIR input=FOLDER`: classify pictures with a finished run's weights, into a CSV."""

import csv
from collections.abc import Iterator
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from hma_ft.assembly import Parts, restore
from hma_ft.config.schema import Config
from hma_ft.data.decode import decode
from hma_ft.engine.processes import create_accelerator
from hma_ft.errors import UserError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"}
TOP = 5


def predict(config: Config) -> int:
    """Write file, class, probability and the top 5 of every picture under `input`, in the headline inference mode.

    Pictures that can't be read are skipped and named; returns 1 if none could be read.
    """
    folder = Path(config.input or "")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise UserError(f"input={folder} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    _, parts = restore(config, create_accelerator(config.trainer))
    output, console = Path(config.output or "predictions.csv"), Console()
    mode = parts.method.inference_modes()[0]
    parts.evaluator.prepare_inference(mode)
    done, unreadable = 0, []
    with output.open("w", newline="") as file, parts.method.eval().inference(mode):
        writer = csv.writer(file)
        writer.writerow(["file", "class", "probability", *(f"top{rank}" for rank in range(1, TOP + 1))])
        for names, images, failed in _batches(paths, parts, config.trainer.eval_batch_size):
            unreadable += failed
            for name, row in zip(names, _probabilities(parts, images), strict=True):
                writer.writerow([name.relative_to(folder), *_described(row, parts.splits.class_names)])
                done += 1
    for problem in unreadable:
        console.print(f"skipped: {problem}", markup=False, soft_wrap=True)
    console.print(f"{done} pictures classified into {output}, {len(unreadable)} skipped", markup=False)
    return 0 if done else 1


def _batches(paths: list[Path], parts: Parts, size: int) -> Iterator[tuple[list[Path], list[Tensor], list[str]]]:
    """Names and transformed pictures, batch by batch, with the messages of those that can't be read."""
    for start in range(0, len(paths), size):
        names, images, failed = [], [], []
        for path in paths[start : start + size]:
            try:
                images.append(parts.eval_transform(decode(path)))
                names.append(path)
            except UserError as error:
                failed.append(str(error))
        yield names, images, failed


@torch.no_grad()
def _probabilities(parts: Parts, images: list[Tensor]) -> Tensor:
    """Class probabilities [B, C]."""
    evaluator = parts.evaluator
    if not images:
        return torch.empty(0, parts.method.num_classes)
    with evaluator.accelerator.autocast():
        features = parts.method.features(torch.stack(images).to(evaluator.accelerator.device))
    return evaluator.classify(features.float())


def _described(probabilities: Tensor, class_names: list[str]) -> list[str]:
    """Class, its probability, and the best classes with theirs."""
    best = probabilities.topk(min(TOP, len(probabilities)))
    ranked = [
        (class_names[index], value) for value, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    padding = [""] * (TOP - len(ranked))
    return [ranked[0][0], f"{ranked[0][1]:.6f}", *(f"{name}={value:.4f}" for name, value in ranked), *padding]
