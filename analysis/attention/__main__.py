"""What the memory of a finished HMA run looks at: figures, numbers and a page that shows them.

python -m analysis.attention run=DIR [key=value ...]

run=DIR            directory of a finished run of method=hma, hma_head or hma_head_cls
classes=A,B        classes of the example images; default: the two that are confused most, and the two best
images=8           example images of each class; together they are the batch that reads itself
top=6              training images shown beside each test image
out=FOLDER         where index.html, numbers.json and the figures go; default: attention/<name of the run>
dataset_root=DIR   where the data set lies now, if it has moved
weights=FILE       the pretrained weights, if they have moved
device=auto        auto, cpu or cuda
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.arguments import parse, positive, require_folder, run_tool

DEFAULTS = {
    "run": None,
    "classes": None,
    "images": "8",
    "top": "6",
    "out": None,
    "dataset_root": None,
    "weights": None,
    "device": "auto",
}


def main(arguments: Sequence[str]) -> None:
    """Check the arguments, then look into the run."""
    values = parse(arguments, DEFAULTS)
    images, top = positive(values, "images"), positive(values, "top")
    folder = Path(values["out"] or Path("attention") / Path(values["run"] or "").resolve().name)
    require_folder("out", folder)
    from analysis.attention.report import write_report  # torch comes with it
    from analysis.trained import open_run

    trained = open_run(
        values["run"],
        dataset_root=values["dataset_root"],
        weights=values["weights"],
        device=values["device"] or "auto",
    )
    classes = None if values["classes"] is None else values["classes"].split(",")
    write_report(trained, folder, classes=classes, images=images, top=top)
    print(f"{folder / 'index.html'}")


if __name__ == "__main__":
    sys.exit(run_tool(main, __doc__))
