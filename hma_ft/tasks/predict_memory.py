"""What `task=predict` changes in a trained memory: `memory=FOLDER` adds images, `memory_remove=FILE` takes some out.

Every memory that the inference mode reads is changed: the real memory in each mode, the support set in mode
`support`, the neighbours of kNN, the sums or features of a head in closed form, which is then solved anew. The memory
grows and shrinks; nothing is trained, and nothing is saved.
"""

import difflib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from hma_ft.config.schema import Config
from hma_ft.data.datasets.base import ImageDataset
from hma_ft.data.description import changed_splits
from hma_ft.data.digests import file_digest, pixel_digest
from hma_ft.data.folder_layout import class_folders
from hma_ft.data.image_files import LeftOut, files_in, images_below
from hma_ft.engine.held_images import HeldImages
from hma_ft.errors import UserError
from hma_ft.finished_run import FinishedRun
from hma_ft.memory.ring_buffer import NO_ID, RealMemory
from hma_ft.methods.base import LabelledFeatures, Memory
from hma_ft.names import printable
from hma_ft.tasks.images import Identify, no_id, read_batches


class ChangedMemories(NamedTuple):
    """What the task knows of the memories afterwards."""

    identify: Identify  # the id of an input image, so that an image never reads its own row
    names: dict[int, str]  # of the images that were added, by id
    lines: list[str]  # to print


def change_memories(config: Config, run: FinishedRun, mode: str) -> ChangedMemories:
    """Do what the configuration says; call it after `prepare_inference` and before `inference`.

    Raises:
        UserError: a method or mode that reads no memory, a folder that is no class, a sample that is not known.
    """
    if config.memory is None and config.memory_remove is None:
        return ChangedMemories(no_id, {}, [])
    memories = run.method.memories(mode)
    if not memories:
        raise UserError(
            f"run={config.run} reads no memory of training images in its inference mode {mode}: memory and "
            "memory_remove need a run with a real memory (method=hma), inference=support, neighbours (method=knn, "
            "head_knn) or a head in closed form (method=ncm, ridge, ranpac, lda, "
            "kernel_ridge)"
        )
    lines = []
    if config.memory_remove is not None:
        names = (run.held_images.by_id, lambda: _train_names(run))
        samples = named_samples(Path(config.memory_remove), count=run.train_size, names=names)
        removed = run.method.remove_from_memories(samples, mode, lambda ids: _train_features(run, ids))
        lines += [f"memory {name}: {n} rows of {len(samples)} named samples removed" for name, n in removed.items()]
    for own, original in run.held_images.copies().items():  # so that an image reads no copy of its own row either
        for memory in memories.values():
            memory.ids[memory.ids == own] = original
    known = _ImageIds(run.held_images)
    if config.memory is not None:
        if run.method.takes_new_classes and (new := _new_classes(Path(config.memory), run.class_names)):
            run.method.add_classes(len(new))
            run.class_names = [*run.class_names, *new]
            lines.append(f"classes that the run did not know: {', '.join(new)}")
        added, remarks = _labelled_features(Path(config.memory), run, known)
        run.method.add_to_memories(added, mode)
        lines += remarks
        lines += [
            f"memory {name}: {len(added.labels)} images added, {rows(of)} rows now"
            for name, of in run.method.memories(mode).items()
        ]
    return ChangedMemories(known, known.names, lines)


def rows(memory: Memory) -> int:
    """How many images a memory holds."""
    return int(memory.filled.sum()) if isinstance(memory, RealMemory) else len(memory)


def _train_split(run: FinishedRun) -> ImageDataset:
    """The training images that ids stand for. UserError where they are others by now."""
    if "train" in changed_splits(run.data, run.splits.description):
        raise UserError(
            f"memory_remove needs the training images of run={run.directory}, but those below "
            f"dataset.root={run.config.dataset.root} have changed since: bring back the images of then"
        )
    return run.splits.train


def _train_names(run: FinishedRun) -> dict[int, str]:
    samples = _train_split(run)
    return {index: samples.sample_id(index) for index in range(len(samples))}


def _train_features(run: FinishedRun, ids: Tensor) -> LabelledFeatures:
    _train_split(run)
    return run.evaluator.some_features("train", ids)


def named_samples(path: Path, *, count: int, names: Iterable[Callable[[], Mapping[int, str]]]) -> Tensor:
    """Ids [N] of the training samples that a text file names, one a line; `#` begins a comment.

    A whole number is an id, the sample's place in the train split (as `python -m analysis.memory` lists it); all
    else is a file: the path below the data set's root, or the name alone where that is unique. `count` is the number
    of training samples. `names` find them by id, the next one where a name is not among those of the one before.
    """
    lines = [line.strip() for line in path.read_text(errors="backslashreplace").splitlines()]
    known = _Names({})
    of_files = [line for line in lines if (text := _without_comment(line)) and not text.isdecimal()]
    for find in names:
        if not all(known.ids(line) for line in of_files):
            known = _Names(find())
    ids = []
    for number, line in enumerate(lines, start=1):
        text = _without_comment(line)
        if not text and not known.ids(line):
            continue
        found = known.ids(line) or ([int(text)] if text.isdecimal() else [NO_ID])
        if not 0 <= found[0] < count:
            reason = "names several samples" if known.numbers[text] > 1 else "is no sample of the train split"
            raise UserError(
                f"memory_remove={path}, line {number}: {text} {reason}; give an id or a path below the root"
            )
        ids += found
    return torch.tensor(sorted(set(ids)), dtype=torch.int64)


class _Names:
    """Ids of samples by path, several where a list names a file twice, and by the name alone where it is unique."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._by_path: dict[str, list[int]] = {}
        for index, key in names.items():
            self._by_path.setdefault(key, []).append(index)
        self.numbers = Counter(Path(key).name for key in self._by_path)
        self._by_name = {Path(key).name: ids for key, ids in self._by_path.items() if self.numbers[Path(key).name] == 1}

    def ids(self, line: str) -> list[int]:
        """What a line names; a file's name may have a # of its own. Empty where that is no known file."""
        for names in (self._by_path, self._by_name):
            for text in (line, _without_comment(line)):
                if text in names:
                    return names[text]
        return []


def _without_comment(line: str) -> str:
    return line.partition("#")[0].strip()


class _ImageIds:
    """Ids of images by their content: of training images that a memory holds, and new ones for added images.

    Two files are one image if their bytes are equal, or their pixels; of the training images of a data set of files
    only the bytes are known.
    """

    def __init__(self, held: HeldImages) -> None:
        self.ids = held.by_digest()
        self.next_id = 1 + max(held.ids.tolist(), default=NO_ID)
        self.names: dict[int, str] = {}  # of added images, by id

    def __call__(self, path: Path, image: Tensor) -> int:
        """The id of an image file, decoded uint8 [3, H, W]; NO_ID where no memory holds it."""
        return next((self.ids[digest] for digest in _digests(path, image) if digest in self.ids), NO_ID)

    def added(self, path: Path, image: Tensor) -> int:
        """The id under which an image is added."""
        sample = self(path, image)
        if sample == NO_ID:
            sample = self.next_id
            self.next_id += 1
            self.names[sample] = printable(path)
        for digest in _digests(path, image):
            self.ids.setdefault(digest, sample)
        return sample


def _digests(path: Path, image: Tensor) -> tuple[str, str]:
    return file_digest(path), pixel_digest(image)


def _labelled_features(folder: Path, run: FinishedRun, known: _ImageIds) -> tuple[LabelledFeatures, list[str]]:
    """Features of all images in the class folders, by the backbone as it is; lines on those that were left out."""
    features, labels, ids, failed = [], [], [], []
    left_out = LeftOut()
    for label, paths in _class_folders(folder, run.class_names, left_out):
        for batch in read_batches(paths, run.transform, size=run.config.trainer.eval_batch_size, identify=known.added):
            failed += batch.failed
            if batch.images:
                features.append(run.predictor.features_of(torch.stack(batch.images)))
                labels += [label] * len(batch.ids)
                ids += batch.ids
    if not features:
        raise UserError(f"memory={folder}: none of its images can be read ({failed[0]})")
    columns = (torch.tensor(column, device=features[0].device) for column in (labels, ids))
    remarks = [*left_out.in_words(), *left_out.unreadable, *(f"skipped: {line}" for line in failed)]
    return LabelledFeatures(torch.cat(features), *columns), remarks


def _new_classes(folder: Path, class_names: list[str]) -> list[str]:
    """Names of class folders that are no class of the run."""
    known = {unicodedata.normalize("NFC", name) for name in class_names}
    children, _ = class_folders(folder, LeftOut())
    return [name for name, child in children.items() if name not in known and images_below(child, LeftOut())]


def _class_folders(folder: Path, class_names: list[str], left_out: LeftOut) -> list[tuple[int, list[Path]]]:
    """Class and images of each folder. UserError for what belongs to no class of the run."""
    found, labels = [], {unicodedata.normalize("NFC", name): label for label, name in enumerate(class_names)}
    for path in files_in(folder):
        raise UserError(f"memory={folder}: {printable(path.name)} lies in no class folder; put it into {folder}/CLASS/")
    children, problems = class_folders(folder, left_out)
    if problems:
        raise UserError("\n".join(problems))
    for name, child in children.items():
        if name not in labels:
            near = difflib.get_close_matches(name, class_names, n=1)
            hint = f"did you mean {near[0]}? else" if near else "so"
            raise UserError(
                f"memory={folder}: {name} is no class of this run, whose linear classifier is fixed and can't "
                f"name new classes; {hint} take the folder out"
            )
        found.append((labels[name], images_below(child, left_out)))
    if not any(paths for _, paths in found):
        raise UserError(f"memory={folder} holds no images in class folders (CLASS/*.jpg)")
    return found
