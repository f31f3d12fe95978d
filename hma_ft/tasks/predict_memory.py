"""What `task=predict` changes in a trained memory: `memory=FOLDER` adds images, `memory_remove=FILE` takes some out.

Every memory that the inference mode reads is changed: the real memory in each mode, the support set in mode
`support`, the neighbours of kNN, the sums or features of a head in closed form, which is then solved anew. The memory
grows and shrinks; nothing is trained, and nothing is saved.
"""

import difflib
import hashlib
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from hma_ft.assembly import Parts
from hma_ft.config.schema import Config
from hma_ft.data.sources.base import Samples
from hma_ft.errors import UserError
from hma_ft.hma.real_memory import NO_ID, RealMemory
from hma_ft.methods.base import LabelledFeatures, Memory
from hma_ft.tasks.pictures import no_id, pictures_below, read_batches


def change_memories(config: Config, parts: Parts, mode: str) -> tuple[Callable[[Tensor], int], list[str]]:
    """Do what the configuration says; call it after `prepare_inference` and before `inference`.

    Returns what tells the id of an input picture, so that a picture never reads its own row, and lines to print.

    Raises:
        UserError: a method or mode that reads no memory, a folder that is no class, a sample that is not known.
    """
    if config.memory is None and config.memory_remove is None:
        return no_id, []
    memories = parts.method.memories(mode)
    if not memories:
        raise UserError(
            f"run={config.run} reads no memory of training images in its inference mode {mode}: memory and "
            "memory_remove need a run with a real memory (method=hma), inference=support, neighbours (method=knn, "
            "head_knn) or a head in closed form (method=ncm, ridge, ranpac, lda)"
        )
    lines = []
    if config.memory_remove is not None:
        samples = named_samples(Path(config.memory_remove), parts.splits.train)
        removed = parts.method.remove_from_memories(samples, mode, partial(parts.evaluator.some_features, "train"))
        lines += [f"memory {name}: {n} rows of {len(samples)} named samples removed" for name, n in removed.items()]
        memories = parts.method.memories(mode)
    known = _PictureIds(parts.splits.train, memories if parts.method.excludes_own_rows else {})
    if config.memory is not None:
        folders = _class_folders(Path(config.memory), parts)
        new = [name for name in folders if name not in parts.splits.class_names]
        if new:
            parts.method.add_classes(len(new))
            parts.splits.class_names = [*parts.splits.class_names, *new]
            lines.append(f"{len(new)} new classes: {', '.join(new)}")
        added, failed = _labelled_features(config, folders, parts, known)
        parts.method.add_to_memories(added, mode)
        memories = parts.method.memories(mode)
        lines += [f"skipped: {problem}" for problem in failed]
        lines += [
            f"memory {name}: {len(added.labels)} pictures added, {rows(of)} rows now" for name, of in memories.items()
        ]
    return known, lines


def rows(memory: Memory) -> int:
    """How many images a memory holds."""
    return int(memory.filled.sum()) if isinstance(memory, RealMemory) else len(memory)


def named_samples(path: Path, train: Samples) -> Tensor:
    """Ids [N] of the training samples that a text file names, one a line; `#` begins a comment.

    A whole number is an id, the sample's place in the train split (as `python -m analysis.memory` lists it); all
    else is a file: the path below the data set's root, or the name alone where that is unique.
    """
    keys = {train.key(index): index for index in range(len(train))}
    names = Counter(Path(key).name for key in keys)
    by_name = {Path(key).name: index for key, index in keys.items() if names[Path(key).name] == 1}
    ids = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        sample = int(text) if text.isdecimal() else keys.get(text, by_name.get(text, NO_ID))
        if not 0 <= sample < len(train):
            reason = "names several samples" if names[text] > 1 else "is no sample of the train split"
            raise UserError(
                f"memory_remove={path}, line {number}: {text} {reason}; give an id or a path below the root"
            )
        ids.append(sample)
    return torch.tensor(sorted(set(ids)), dtype=torch.int64)


class _PictureIds:
    """Ids of pictures by their content: of training images that a memory holds, and new ones for added pictures."""

    def __init__(self, train: Samples, memories: dict[str, Memory]) -> None:
        held = {sample for memory in memories.values() for sample in memory.ids.flatten().tolist()}
        self.ids = {_digest(train.load(sample)): sample for sample in held if sample != NO_ID}
        self.next_id = len(train)

    def __call__(self, picture: Tensor) -> int:
        """The id of a picture uint8 [3, H, W]; NO_ID where no memory holds it."""
        return self.ids.get(_digest(picture), NO_ID)

    def added(self, picture: Tensor) -> int:
        """The id under which a picture is added."""
        sample = self.ids.setdefault(_digest(picture), self.next_id)
        self.next_id += sample == self.next_id
        return sample


def _digest(picture: Tensor) -> bytes:
    return hashlib.sha256(str(tuple(picture.shape)).encode() + picture.contiguous().numpy().tobytes()).digest()


def _labelled_features(
    config: Config, folders: dict[str, list[Path]], parts: Parts, known: _PictureIds
) -> tuple[LabelledFeatures, list[str]]:
    """Features of all images in the class folders, by the backbone as it is; messages of unreadable ones."""
    features, labels, ids, failed = [], [], [], []
    for name, paths in folders.items():
        label = parts.splits.class_names.index(name)
        for batch in read_batches(
            paths, parts.eval_transform, size=config.trainer.eval_batch_size, identify=known.added
        ):
            failed += batch.failed
            if batch.images:
                features.append(parts.evaluator.features_of(torch.stack(batch.images)))
                labels += [label] * len(batch.ids)
                ids += batch.ids
    if not features:
        raise UserError(f"memory={config.memory}: none of its pictures can be read ({failed[0]})")
    columns = (torch.tensor(column, device=features[0].device) for column in (labels, ids))
    return LabelledFeatures(torch.cat(features), *columns), failed


def _class_folders(folder: Path, parts: Parts) -> dict[str, list[Path]]:
    """Images by class. UserError for a class that the run does not know, unless its method takes new ones."""
    found, class_names = {}, parts.splits.class_names
    for path in pictures_below(folder):
        if path.parent == folder:
            raise UserError(f"memory={folder}: {path.name} lies in no class folder; put it into {folder}/CLASS/")
    for child in sorted(child for child in folder.iterdir() if child.is_dir()):
        if child.name not in class_names and not parts.method.takes_new_classes:
            near = difflib.get_close_matches(child.name, class_names, n=1)
            hint = f"did you mean {near[0]}? else" if near else "so"
            raise UserError(
                f"memory={folder}: {child.name} is no class of this run, whose linear classifier is fixed and can't "
                f"name new classes; {hint} take the folder out"
            )
        if pictures_below(child):
            found[child.name] = pictures_below(child)
    if not found:
        raise UserError(f"memory={folder} holds no pictures in class folders (CLASS/*.jpg)")
    return found
