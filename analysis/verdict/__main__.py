"""`python -m analysis.verdict SWEEP_FOLDER`: compare the methods of a sweep that has ended.

Leaves report.html, verdict.json and comparison/ (tables and figures) in the folder of the sweep. A sweep with
`sweep.compare=true` does this by itself. Exit code: 0, or 2 with a line for what the user can mend.
"""

import dataclasses
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

from analysis.arguments import exit_code
from analysis.compare.__main__ import main as compare
from analysis.verdict.comparison import verdict_of
from analysis.verdict.page import with_answer
from hma_ft.errors import UserError
from hma_ft.files.atomic import write_atomic
from hma_ft.launch.candidates import Candidate
from hma_ft.launch.comparison import compared_trials
from hma_ft.launch.staged_plan import StagedOptions, read_candidates, read_options, read_state, tuned_keys
from hma_ft.launch.sweep import Sweep, load_sweep
from hma_ft.launch.verdict import FOLDER, PAGE, RECORD


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or 2 with one line about what the user can mend."""
    given = sys.argv[1:] if arguments is None else arguments
    if list(given) in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    return exit_code(lambda: _write_verdict(given))


def _write_verdict(arguments: Sequence[str]) -> None:
    if len(arguments) != 1:
        raise UserError("usage: python -m analysis.verdict SWEEP_FOLDER (runs/sweeps/NAME-DIGEST)")
    directory = Path(arguments[0]).absolute()
    sweep, options = load_sweep(directory), read_options(directory)
    if sweep is None or options is None:
        raise UserError(f"{directory} is not the folder of a sweep with sweep.compare=true")
    candidates = read_candidates(directory)
    trials = compared_trials(sweep)  # before the runs are read: what finishes meanwhile makes the verdict an old one
    _compare(_arguments(sweep, options, candidates))
    compared = json.loads((directory / FOLDER / "comparison.json").read_text())
    verdict = verdict_of(compared, {candidate.method: candidate.grid.varied for candidate in candidates})
    verdict = dataclasses.replace(verdict, asked=options.baseline, trials=trials)
    page = (directory / PAGE).read_text(encoding="utf-8")
    figure = directory / FOLDER / "accuracy.png"
    write_atomic(directory / PAGE, with_answer(page, verdict, read_state(directory).notes, figure))
    write_atomic(directory / RECORD, json.dumps(dataclasses.asdict(verdict), indent=1) + "\n")
    print("\n".join(verdict.sentences))


def _arguments(sweep: Sweep, options: StagedOptions, candidates: Sequence[Candidate]) -> list[str]:
    """Those of `python -m analysis.compare`: the seeds of the comparison alone, none of those that val chose with."""
    seeds = sorted({seed for candidate in candidates for seed in candidate.seeds})
    found = ["--runs", str(sweep.directory.parents[1]), "--sweep", sweep.directory.name]
    found += ["--where", f"seed={','.join(map(str, seeds))}", "--by", ",".join(["method", *options.by])]
    keys = tuned_keys(candidates)
    found += ["--tune", ",".join(keys)] if keys else []
    baseline = next((c.method for c in candidates if options.baseline == c.label), options.baseline)
    found += ["--baseline", baseline, "--out", str(sweep.directory / FOLDER)]
    return [*found, "--html", str(sweep.directory / PAGE)]


def _compare(arguments: list[str]) -> None:
    """As its own command does; where runs differ in what should be equal, the page says so instead of being refused."""
    refusal = StringIO()
    with redirect_stderr(refusal):
        code = compare(arguments)
    if code and "--force" in refusal.getvalue():
        code = compare([*arguments, "--force"])
    elif code:
        print(refusal.getvalue(), end="", file=sys.stderr)
    if code:
        raise SystemExit(code)


if __name__ == "__main__":
    sys.exit(main())
