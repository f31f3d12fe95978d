"""The text of `run.py --help`. Hydra's own takes two seconds to list the groups."""

import textwrap
from itertools import groupby

from hma_ft.config.families import families
from hma_ft.config.groups import MEANINGS, Groups

WIDTH = 100  # characters
_INDENT = " " * 14
_TEXT = """\
usage: python run.py [-m] [task=TASK] [GROUP=CHOICE ...] [SETTING=VALUE ...]

Fine-tune a Vision Transformer with heterogeneous memory augmentation (HMA) or with one of its rivals.

  python run.py method=hma dataset=dtd                                 one run
  python run.py method=hma_head dataset=folder dataset.root=my_images  the same on your own images
  python run.py -m method=head,hma_head dataset=dtd seed=0,1,2         a sweep: -m runs every combination
  python run.py -m sweep=demo                                          a sweep from a file
  python run.py -m sweep=verdict dataset=folder dataset.root=my_images is memory worth it on these images? (hours)

Tasks
  train                                 train, choose on val, test once (the default)
  evaluate run=DIR                      repeat the figures of a finished run
  predict run=DIR input=DIR             classify images into output=FILE (predictions.csv, or NAME.jsonl);
                                        coverage=SHARE of val gets a class, the rest is unknown;
                                        nearest=N images of the memory are named (3);
                                        memory=DIR adds images to the memory, memory_remove=FILE takes some out
  export run=DIR                        weights, ONNX and a model card into output=DIR (RUN/export)
  prepare dataset=NAME                  download a data set and check its images
  sync                                  bring MLflow up to date with the run directories
  status sweep=NAME, cancel sweep=NAME  watch a sweep, end it; sweep.name=NAME if it is not a file of sweeps/

Groups (GROUP=CHOICE)
{groups}

Settings (SETTING=VALUE)
  python run.py --cfg job method=hma    all settings of this command with their values, nothing is run
  hma_ft/config/schema/                 what each of them means
  dataset.root=DIR                      where the data set lies or is downloaded to (data)
  model.weights=FILE                    pretrained weights from a file instead of the hub
  runs_dir=DIR                          where run directories go (runs)

The same command again continues a run that was cut off and reports a finished one; fresh=true starts over.
Exit code: 0; 2 for something you can fix (command, data, settings, machine), named in one line; 1 if a trial of a sweep
or the check of an export failed; 128 + n when signal n stopped it.
python run.py --hydra-help explains the flags of Hydra, shell completion among them.
"""


def help_text(groups: Groups) -> str:
    """Usage, tasks, every choice of every group."""
    lines = []
    for name, meaning in MEANINGS.items():
        lines.append(f"  {name:<12}{meaning}".rstrip())
        if name == "method":
            lines += [_listed("", methods, f"{family}: ") for family, methods in families(groups)]
            continue
        in_folders = sorted(groups.choices(name), key=_folder)  # those that lie in none come first
        for folder, choices in groupby(in_folders, key=_folder):
            lines.append(_listed(folder, [choice.rpartition("/")[2] for choice in choices]))
    return _TEXT.format(groups="\n".join(lines))


def _folder(choice: str) -> str:
    return choice.rpartition("/")[0]


def _listed(folder: str, names: list[str], title: str = "") -> str:
    """Choices that share a folder: `lr/{x0.1, x1}`."""
    text = title + ", ".join(names)
    if folder:
        text = f"{folder}/{{{text}}}"
    return textwrap.fill(text, WIDTH, initial_indent=_INDENT, subsequent_indent=f"{_INDENT}  ", break_on_hyphens=False)
