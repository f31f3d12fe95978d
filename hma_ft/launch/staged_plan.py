"""A tuned sweep on disk: what is compared, how it is chosen, and the composed configurations that trials are made from.

stages/plan.json       candidates with their grids and seeds, and the options of the sweep
stages/<number>.yaml   the composed configuration of a candidate, interpolations as they are
stages/state.json      how far the present command has come

Nothing of conf/ is read after the command was given.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hma_ft.config import fingerprint, run_directory, typed
from hma_ft.config.register import register_schema
from hma_ft.config.schema import Config, SweepConfig
from hma_ft.errors import UserError
from hma_ft.files.atomic import write_atomic
from hma_ft.launch.candidates import Attempt, Candidate, ReadViews
from hma_ft.launch.choosing import Tuning
from hma_ft.launch.grid import Grid
from hma_ft.launch.halving import SHARES, SHORTENED, Length
from hma_ft.launch.plan import KEY_DIGITS
from hma_ft.launch.sweep import Trial, read_record, write_record

FOLDER = "stages"
COMPARE, DONE = "compare", "done"  # what comes after the last stage of trials
_SEED = "${seed}"


@dataclass(frozen=True)
class StagedOptions:
    """What a sweep was told, beside its trials."""

    tune_seeds: list[int] = field(default_factory=list)
    extend: int = 0
    halving: bool = False
    compare: bool = False
    baseline: str = ""
    by: list[str] = field(default_factory=list)  # settings that tell candidates apart
    budget_minutes: float | None = None
    fail_fast: bool = False

    @property
    def tuning(self) -> Tuning:
        """How it chooses."""
        return Tuning(self.tune_seeds, self.extend, SHARES if self.halving else (1.0,))


@dataclass(frozen=True)
class StagedState:
    """How far the command that runs has come."""

    session: int = 0  # its first submission
    stage: str = ""  # the present one; `compare`, then `done`
    estimate: str = ""  # in words, once every candidate has had a trial
    left_out: list[str] = field(default_factory=list)  # labels, for want of time
    budget_minutes: float | None = None  # for which they were left out
    choices: dict[str, str] = field(default_factory=dict)  # what val chose, in words, by label
    error: str = ""  # why it ended before its end

    @property
    def notes(self) -> list[str]:
        """All that was decided, a line each; how long it takes only while it takes, or where it left something out."""
        tells_time = self.estimate and (self.stage != DONE or self.left_out)
        choices = [f"{label}: {text}" for label, text in self.choices.items() if text]
        return [self.estimate, *choices] if tells_time else choices


@dataclass
class StagedPlan:
    """Candidates, and the configuration of each of their trials."""

    candidates: list[Candidate]
    templates: list[DictConfig]  # of each candidate
    options: StagedOptions
    _resolved: dict[tuple[str, str], Config] = field(default_factory=dict, repr=False)

    def config(self, attempt: Attempt) -> Config:
        """The configuration of a trial. Raises UserError where the point has an unknown setting or a wrong value."""
        template = self._by_label[attempt.candidate.label]
        by_seed = _SEED in self._texts[attempt.candidate.label]  # else one resolution, which takes 0.1 s, serves all
        place = attempt.candidate.label, f"{json.dumps(attempt.settings)} {attempt.seed if by_seed else ''}"
        if place not in self._resolved:
            self._resolved[place] = _resolve(template, attempt)
        return dataclasses.replace(self._resolved[place], seed=attempt.seed)

    def trial(self, attempt: Attempt, stage: str = "") -> Trial:
        """The trial as sweep.json has it."""
        config = self.config(attempt)
        return Trial(
            key=fingerprint(config)[:KEY_DIGITS],
            label=attempt.label,
            directory=str(run_directory(config).absolute()),
            stage=stage,
            candidate=attempt.candidate.label,
            seed=attempt.seed,
            share=attempt.share,
        )

    def save(self, directory: Path) -> None:
        """Write the plan into the folder of a sweep."""
        folder = directory / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for number, template in enumerate(self.templates):
            write_atomic(folder / f"{number}.yaml", OmegaConf.to_yaml(template))
        candidates = [dataclasses.asdict(candidate) for candidate in self.candidates]
        write_record(folder / "plan.json", {"candidates": candidates, "options": dataclasses.asdict(self.options)})

    @cached_property
    def _by_label(self) -> dict[str, DictConfig]:
        return {c.label: template for c, template in zip(self.candidates, self.templates, strict=True)}

    @cached_property
    def _texts(self) -> dict[str, str]:
        return {label: OmegaConf.to_yaml(template) for label, template in self._by_label.items()}


def _resolve(template: DictConfig, attempt: Attempt) -> Config:
    filled = template.copy()
    try:
        for key, value in [*attempt.settings.items(), ("seed", attempt.seed)]:
            OmegaConf.update(filled, key, value)
        return typed(filled)
    except OmegaConfBaseException as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{attempt.label}: {reason}; see sweep.tune.grids.{attempt.candidate.method}") from error


def read_options(directory: Path) -> StagedOptions | None:
    """The options of a sweep with stages; None of one without."""
    values = _plan_values(directory)
    return None if values is None else StagedOptions(**values["options"])


def read_candidates(directory: Path) -> list[Candidate]:
    """The candidates alone, which is quick."""
    values = _plan_values(directory)
    return [] if values is None else [_candidate(described) for described in values["candidates"]]


def load_plan(directory: Path) -> StagedPlan:
    """The plan in the folder of a sweep. Raises UserError."""
    options = read_options(directory)
    if options is None:
        raise UserError(f"{directory / FOLDER} has no plan: give the command of the sweep again")
    register_schema()  # the resolvers of interpolations
    candidates = read_candidates(directory)
    templates = [OmegaConf.load(directory / FOLDER / f"{number}.yaml") for number in range(len(candidates))]
    return StagedPlan(candidates, [t for t in templates if isinstance(t, DictConfig)], options)


def read_state(directory: Path) -> StagedState:
    """The state of the sweep's last command."""
    return read_record(directory / FOLDER / "state.json", StagedState) or StagedState()


def write_state(directory: Path, state: StagedState) -> None:
    """Replace it."""
    write_record(directory / FOLDER / "state.json", dataclasses.asdict(state))


def has_stages(directory: Path) -> bool:
    """Whether the sweep in a folder has stages."""
    return (directory / FOLDER / "plan.json").exists()


def has_further_stages(directory: Path) -> bool:
    """Whether a stage or the comparison is to come; False of a sweep without stages."""
    return has_stages(directory) and read_state(directory).stage != DONE


def _plan_values(directory: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads((directory / FOLDER / "plan.json").read_text()))
    except (OSError, ValueError):
        return None


def _candidate(described: dict[str, Any]) -> Candidate:
    read = described["read_views"]
    return Candidate(
        **described
        | {
            "grid": Grid(**described["grid"]),
            "length": Length(**described["length"]),
            "read_views": None if read is None else ReadViews(*read),
        }
    )


def tuned_keys(candidates: Sequence[Candidate]) -> list[str]:
    """Settings that val chooses for some candidate."""
    return list(dict.fromkeys(key for candidate in candidates for key in candidate.grid.varied))


def checked_options(settings: SweepConfig, candidates: Sequence[Candidate], by: list[str]) -> StagedOptions:
    """The options of a sweep. Raises UserError, a line for each that can't be."""
    problems = []
    tune = settings.tune
    both = sorted(set(tune.seeds) & {seed for candidate in candidates for seed in candidate.seeds})
    if both:
        problems.append(
            f"sweep.tune.seeds={tune.seeds} and the seeds of the comparison share {', '.join(map(str, both))}: figures "
            "of seeds that took part in choosing are too good; give others"
        )
    if tune.extend < 0:
        problems.append(f"sweep.tune.extend={tune.extend} must be 0 or greater")
    fixed = sorted({key for candidate in candidates for key in candidate.grid.varied} & set(SHORTENED))
    if tune.halving and fixed:
        problems.append(
            f"sweep.tune.halving=true makes trials shorter, but a grid has values of {', '.join(fixed)}: leave one out"
        )
    if settings.budget_minutes is not None and not settings.budget_minutes > 0:
        problems.append(f"sweep.budget_minutes={settings.budget_minutes:g} must be greater than 0")
    if settings.compare and not any(settings.baseline in (c.label, c.method) for c in candidates):
        known = ", ".join(dict.fromkeys(candidate.method for candidate in candidates))
        problems.append(
            f"sweep.baseline={settings.baseline} is not part of the sweep, which has {known}: choose one of them, or "
            "add it"
        )
    if problems:
        raise UserError("\n".join(problems))
    return StagedOptions(
        tune_seeds=list(tune.seeds),
        extend=tune.extend,
        halving=tune.halving,
        compare=settings.compare,
        baseline=settings.baseline,
        by=by,
        budget_minutes=settings.budget_minutes,
        fail_fast=settings.fail_fast,
    )
