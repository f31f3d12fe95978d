"""Writes docs/METHODS.md, or prints its tables for another model.

python -m analysis.methods                   write the page
python -m analysis.methods --model NAME      print it for a model of conf/model
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "METHODS.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or 2 with one line if there is no such model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", metavar="NAME", help="of conf/model; nothing is written")
    chosen = parser.parse_args(arguments)
    from analysis.methods.build import choices  # torch comes with it
    from analysis.methods.page import page

    models = choices("model")
    if chosen.model is not None and chosen.model not in models:
        print(f"error: --model {chosen.model}: unknown model; there are: {', '.join(models)}", file=sys.stderr)
        return 2
    if chosen.model is not None:
        print(page(chosen.model))
        return 0
    PAGE.write_text(page())
    print(f"written to {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
