"""Whether a memory of training images adds to closed-form heads on the same frozen features: docs/MEMORY.md.

python -m analysis.memory_study step=STEP data=DIR weights=FILE out=DIR [key=value ...]

step=features      features of all data sets to out/NAME.npz; data and weights are read here only
step=develop       every attempt on the data sets that it was developed on, to out/develop.jsonl
step=judge         rivals and the chosen method on the others, to out/judge.jsonl
step=tables        both results as Markdown
step=evenness      how evenly the memory head reads its real memory, before training and after
data=DIR           folder with dtd, eurosat, caltech101, cifar100_subset, flowers-102, cifar10_subset, cifar10n
weights=FILE       DeiT-Tiny's weights
out=DIR            where results go and are continued
seeds=5            splits
image_size=112     pixels a side, of step=features
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.arguments import parse, positive, require_folder, run_tool
from hma_ft.errors import UserError

STEPS = ("features", "develop", "judge", "tables", "evenness")
DEFAULTS = {"step": None, "data": None, "weights": None, "out": None, "seeds": "5", "image_size": "112"}


def main(arguments: Sequence[str]) -> None:
    """Check the arguments, then do the step."""
    values = parse(arguments, DEFAULTS)
    step, out = values["step"], Path(_given(values["out"], "out"))
    if step not in STEPS:
        raise UserError(f"step={step} must be one of {', '.join(STEPS)}")
    require_folder("out", out)
    seeds, image_size = positive(values, "seeds"), positive(values, "image_size")
    out.mkdir(parents=True, exist_ok=True)
    from analysis.memory_study import evenness, features, protocol, table  # torch comes with them

    if step == "features":
        root, weights = (Path(_given(values[key], key)).resolve() for key in ("data", "weights"))
        for name in features.DEVELOPED_ON | features.JUDGED_ON:
            features.compute(name, root, weights, out, image_size)
    elif step == "develop":
        protocol.develop(out, seeds)
    elif step == "judge":
        protocol.judge(out, seeds)
    elif step == "evenness":
        evenness.report(out)
    else:
        print(table.table(protocol.read(out / "develop.jsonl"), ["ranpac", "logreg"]))
        judged = protocol.read(out / "judge.jsonl")
        print("\n" + table.table(judged, ["ranpac", "logreg"]))
        print("\n" + table.paired(judged, protocol.CHOSEN, protocol.RIVALS))
        print("\n" + table.paired(judged, *protocol.MIXED))


def _given(value: str | None, key: str) -> str:
    if value is None:
        raise UserError(f"{key}= is missing")
    return value


if __name__ == "__main__":
    sys.exit(run_tool(main, __doc__))
