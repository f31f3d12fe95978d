"""`task=predict run=DIR input=FOLDER`: classify images with a finished run's weights, into a CSV.

`memory=FOLDER` and `memory_remove=FILE` change the memory that is read, see `predict_memory`.
"""

import csv
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from hma_ft.config.schema import Config
from hma_ft.data.image_files import SUFFIXES, LeftOut, images_below
from hma_ft.engine.predictor import Predictor
from hma_ft.errors import UserError
from hma_ft.finished_run import open_for_command
from hma_ft.memory.ring_buffer import NO_ID
from hma_ft.names import counted, printable
from hma_ft.tasks.images import ImageBatch, read_batches
from hma_ft.tasks.predict_memory import change_memories

TOP = 5


def predict(config: Config, given: frozenset[str] = frozenset()) -> int:
    """Write file, class, probability and the top 5 of every image under `input`, in the headline inference mode.

    The run's data set is not needed.

    Images that can't be read are skipped and named; returns 1 if none could be read.
    """
    folder = Path(config.input or "")
    left_out = LeftOut()
    paths = images_below(folder, left_out)
    if not paths:
        found = "".join(f"; {line}" for line in [*left_out.in_words(), *left_out.unreadable])
        raise UserError(f"input={printable(folder)} holds no images ({', '.join(sorted(SUFFIXES))}){found}")
    run = open_for_command(config, given)
    output, console = Path(config.output or "predictions.csv"), Console()
    mode = run.modes[0]
    run.prepare_inference(mode)
    identify, changes = change_memories(config, run, mode)
    for line in [*left_out.in_words(), *left_out.unreadable, *changes]:
        console.print(line, markup=False, soft_wrap=True)
    done, unreadable, lying = 0, [], list[Path]()
    with output.open("w", newline="") as file, run.method.inference(mode):
        writer = csv.writer(file)
        writer.writerow(["file", "class", "probability", *(f"top{rank}" for rank in range(1, TOP + 1))])
        size = run.config.trainer.eval_batch_size
        for batch in read_batches(paths, run.transform, size=size, identify=identify):
            unreadable += batch.failed
            lying += batch.lying
            for name, row in zip(batch.paths, _probabilities(run.predictor, batch), strict=True):
                writer.writerow([printable(name.relative_to(folder)), *_described(row, run.class_names)])
                done += 1
    if lying:
        console.print(
            f"{counted(len(lying), 'image')} read as stored, though an EXIF orientation says otherwise (such as "
            f"{printable(lying[0])}): this run was trained with dataset.exif_orientation=false",
            markup=False,
            soft_wrap=True,
        )
    for problem in unreadable:
        console.print(f"skipped: {problem}", markup=False, soft_wrap=True)
    console.print(f"{done} images classified into {output}, {len(unreadable)} skipped", markup=False)
    return 0 if done else 1


def _probabilities(predictor: Predictor, batch: ImageBatch) -> Tensor:
    """Class probabilities [B, C]."""
    if not batch.images:
        return torch.empty(0, predictor.method.num_classes)
    features = predictor.features_of(torch.stack(batch.images))
    ids = torch.tensor(batch.ids, device=features.device)
    return predictor.classify(features, None if bool((ids == NO_ID).all()) else ids)


def _described(probabilities: Tensor, class_names: list[str]) -> list[str]:
    """Class, its probability, and the best classes with theirs."""
    best = probabilities.topk(min(TOP, len(probabilities)))
    ranked = [
        (class_names[index], value) for value, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    padding = [""] * (TOP - len(ranked))
    return [ranked[0][0], f"{ranked[0][1]:.6f}", *(f"{name}={value:.4f}" for name, value in ranked), *padding]
