"""Overrides of a sweep's jobs: those that go together, and those of the seed."""

from collections.abc import Sequence

from hma_ft.config.command_line import has_key
from hma_ft.errors import UserError

_SEED = "seed="


def with_pairs(jobs: Sequence[Sequence[str]], pairs: Sequence[Sequence[str]]) -> list[list[str]]:
    """Each job with each list of overrides that go together; the jobs as they are where there is none.

    Raises UserError for what is no override, and for a setting that the job has already.
    """
    if not pairs:
        return [list(job) for job in jobs]
    wrong = [override for pair in pairs for override in pair if not has_key(override)]
    if wrong or not all(pairs):
        raise UserError(f"sweep.pairs: {wrong[0] if wrong else '[]'} is not of the form NAME=VALUE")
    both = {_key(override) for job in jobs for override in job} & {_key(o) for pair in pairs for o in pair}
    if both:
        raise UserError(
            f"sweep.pairs gives {', '.join(sorted(both))}, and so does the command or the sweep's file: leave one out"
        )
    return [[*job, *pair] for job in jobs for pair in pairs]


def without_seeds(jobs: Sequence[Sequence[str]]) -> list[tuple[list[str], list[int]]]:
    """The jobs that differ in more than the seed, each with the seeds that were given for it."""
    found: dict[tuple[str, ...], list[int]] = {}
    for job in jobs:
        seeds = found.setdefault(tuple(o for o in job if not o.startswith(_SEED)), [])
        for text in (o.removeprefix(_SEED) for o in job if o.startswith(_SEED)):
            if not text.isdecimal():
                raise UserError(f"seed={text} must be a whole number from 0")
            seeds.append(int(text))
    return [(list(overrides), seeds) for overrides, seeds in found.items()]


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]
