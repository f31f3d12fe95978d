"""Names that become directories, paths that a task doesn't read, places that it can't write: asked before it begins."""

from collections.abc import Iterator
from pathlib import Path

from hma_ft.config.paths import uri_problem
from hma_ft.config.schema import Config, ImageCaching, Task
from hma_ft.files.writable import file_refusal, folder_refusal

LONGEST_NAME = 100  # bytes; a run directory's name is made of several
_READ_BY = {
    "run": (Task.evaluate, Task.predict, Task.export, Task.sync),
    "input": (Task.predict,),
    "output": (Task.predict, Task.export, Task.prepare),
    "memory": (Task.predict,),
    "memory_remove": (Task.predict,),
    "coverage": (Task.predict,),
    "nearest": (Task.predict,),
}


def place_problems(config: Config) -> Iterator[str]:
    """One line for each."""
    yield from _names(config)
    yield from _unread(config)
    yield from _written(config)
    yield from _tracking(config)


def _names(config: Config) -> Iterator[str]:
    names = {
        "dataset.name": config.dataset.name,
        "method.name": config.method.name,
        "model.short_name": config.model.short_name,
    }
    if config.sweep.name is not None:
        names["sweep.name"] = config.sweep.name
    for setting, name in names.items():
        if "/" in name or name in (".", "..") or not name.isprintable():
            yield f"{setting}={name} names a directory of the runs: leave out slashes, . and .. and control characters"
        elif len(name.encode(errors="surrogateescape")) > LONGEST_NAME:
            yield f"{setting}={name} names a directory of the runs: at most {LONGEST_NAME} bytes"


def _unread(config: Config) -> Iterator[str]:
    for name, tasks in _READ_BY.items():
        value = getattr(config, name)
        if value is not None and config.task not in tasks:
            readers = " or ".join(f"task={task.value}" for task in tasks)
            yield f"{name}={value} is not read by task={config.task.value}: leave it out, or add {readers}"


def _written(config: Config) -> Iterator[str]:
    """Places that the task writes to and can't."""
    folders = {}
    if config.task in (Task.train, Task.prepare):
        folders["runs_dir"] = config.runs_dir
        if config.dataset.on_disk and config.dataset.download and not Path(config.dataset.root).exists():
            folders["dataset.root"] = config.dataset.root
    if config.task is Task.train and config.dataset.cache is ImageCaching.disk:
        folders["dataset.cache_dir"] = config.dataset.cache_dir
    if config.task is Task.export and config.output is not None:
        folders["output"] = config.output
    for name, folder in folders.items():
        reason = folder_refusal(Path(folder))
        if reason:
            yield f"{name}={folder} can't be written ({reason}): make room or give another directory"
    if config.task is Task.export and config.output is None and config.run is not None:
        reason = folder_refusal(Path(config.run) / "export")
        if reason:
            yield f"{config.run}/export can't be written ({reason}): give another directory by output=DIR"
    if config.task is Task.predict:
        file = config.output or "predictions.csv"
        reason = file_refusal(Path(file))
        if reason:
            yield f"output={file} can't be written ({reason}): give another file"


def _tracking(config: Config) -> Iterator[str]:
    """A tracking URI that no server or database can be behind; one that is away for now is no mistake."""
    uri = config.tracking.uri
    if uri is None or not config.tracking.mlflow or config.task not in (Task.train, Task.sync):
        return
    problem = uri_problem(uri)
    if problem:
        yield f"tracking.uri={uri} {problem}"
