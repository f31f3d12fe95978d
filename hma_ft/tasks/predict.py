"""`task=predict run=DIR input=FOLDER`: classify images with a finished run's weights, into CSV or JSON lines.

`memory=FOLDER` and `memory_remove=FILE` change the memory that is read, see `predict_memory`; `coverage` leaves images
without a class, see `predict_unknown`.
"""

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from hma_ft.config.schema import Config
from hma_ft.data.image_files import SUFFIXES, LeftOut, images_below
from hma_ft.errors import UserError
from hma_ft.finished_run import open_for_command
from hma_ft.names import counted, printable
from hma_ft.tasks.classify_images import ImageClassifier
from hma_ft.tasks.images import read_batches
from hma_ft.tasks.predict_memory import change_memories
from hma_ft.tasks.predict_unknown import NO_THRESHOLD, choose_threshold
from hma_ft.tasks.prediction_files import UNKNOWN, writer_for

NEAREST = 3  # images of a memory that are named where the command says nothing


def predict(config: Config, given: frozenset[str] = frozenset()) -> int:
    """Write the class of every image under `input`, in the headline inference mode.

    The run's data set is not needed.

    Images that can't be read are skipped and named; returns 1 if none could be read.
    """
    folder, output = Path(config.input or ""), Path(config.output or "predictions.csv")
    writing = writer_for(output)
    left_out = LeftOut()
    paths = _images_below(folder, left_out)
    run = open_for_command(config, given)
    if config.coverage is not None and (config.memory or config.memory_remove):
        raise UserError(
            "coverage chooses its threshold by what the run said of val, which a changed memory may say no more: leave "
            "coverage out, or memory and memory_remove"
        )
    threshold = NO_THRESHOLD if config.coverage is None else choose_threshold(run, config.coverage)
    mode = run.modes[0]
    run.prepare_inference(mode)
    changed = change_memories(config, run, mode)
    classify = ImageClassifier(
        run,
        mode,
        threshold=threshold.value,
        nearest=NEAREST if config.nearest is None else config.nearest,
        added_names=changed.names,
    )
    console, terminal = Console(), Console(stderr=True)
    _print(console, [*left_out.in_words(), *left_out.unreadable, *changed.lines, *threshold.lines])
    done, unknown, unreadable, lying = 0, 0, list[str](), list[Path]()
    size = run.config.trainer.eval_batch_size
    with (
        output.open("w", newline="", encoding="utf-8") as file,
        run.method.inference(mode),
        Progress(console=terminal, transient=True, disable=not terminal.is_terminal) as bar,
    ):
        writer = writing(file, with_memory=classify.lookup is not None)
        images = bar.add_task("classifying", total=len(paths))
        for batch in read_batches(paths, run.transform, size=size, identify=changed.identify):
            for prediction in classify(batch, folder):
                writer.write(prediction)
                unknown += not prediction.answered
            done += len(batch.paths)
            unreadable += batch.failed
            lying += batch.lying
            bar.update(images, completed=done + len(unreadable))
    _print(console, [*_on_orientation(lying), *(f"skipped: {problem}" for problem in unreadable)])
    of_these = "" if config.coverage is None else f", {unknown} of them as {UNKNOWN}"
    _print(console, [f"{done} images classified into {output}{of_these}, {len(unreadable)} skipped"])
    return 0 if done else 1


def _images_below(folder: Path, left_out: LeftOut) -> list[Path]:
    """The images under `input`. UserError where there is none."""
    paths = images_below(folder, left_out)
    if not paths:
        found = "".join(f"; {line}" for line in [*left_out.in_words(), *left_out.unreadable])
        raise UserError(f"input={printable(folder)} holds no images ({', '.join(sorted(SUFFIXES))}){found}")
    return paths


def _on_orientation(lying: list[Path]) -> list[str]:
    """A line on images that were not turned upright, if there are any."""
    if not lying:
        return []
    return [
        f"{counted(len(lying), 'image')} read as stored, though an EXIF orientation says otherwise (such as "
        f"{printable(lying[0])}): this run was trained with dataset.exif_orientation=false"
    ]


def _print(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
