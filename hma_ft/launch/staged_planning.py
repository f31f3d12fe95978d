"""From composed configurations to the plan of a sweep with stages: candidates, their grids and seeds, all checked."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig

from hma_ft.config import as_read
from hma_ft.config.check_dataset import FOLD
from hma_ft.config.nearest import nearest
from hma_ft.config.schema import BackboneTuning, Config, MethodConfig, Selection, SweepConfig, TokenType
from hma_ft.errors import UserError
from hma_ft.launch.candidates import Attempt, Candidate, ReadViews
from hma_ft.launch.choosing import attempts_at
from hma_ft.launch.grid import Grid, read_grid
from hma_ft.launch.halving import Length
from hma_ft.launch.plan import name_of, require_valid, settings_of, varied_keys
from hma_ft.launch.staged_plan import StagedPlan, checked_options, tuned_keys
from hma_ft.launch.stages import StageName, first_attempt
from hma_ft.launch.sweep import Sweep, safe_name
from hma_ft.mlflow_sync.content import params

_VIEWS = ("dataset", "model", "augment")  # what the stored features of a view depend on


class Composed(NamedTuple):
    """One thing to compare, as Hydra composed it."""

    overrides: Sequence[str]  # without the seed
    template: DictConfig  # interpolations as they are
    seeds: Sequence[int]  # that the command gives; empty: those of the sweep


def make_staged_plan(
    composed: Sequence[Composed], settings: SweepConfig, methods: Collection[str]
) -> tuple[StagedPlan, Sweep]:
    """The plan, and the sweep with the trials of its first stage; nothing is written.

    `methods` are all that there are. Raises UserError, with a line for every mistake.
    """
    for name, table in (("grids", settings.tune.grids), ("max_seeds", settings.max_seeds)):
        _require_methods(f"sweep.{'tune.' if name == 'grids' else ''}{name}", table, methods)
    _require_seeds(settings)
    labels = _labels([settings_of(job.overrides) for job in composed])
    candidates = [_candidate(job, label, settings) for job, label in zip(composed, labels, strict=True)]
    plan = StagedPlan(candidates, [job.template for job in composed], checked_options(settings, candidates, []))
    _require_no_choice_by_folds(candidates, [job.overrides for job in composed], settings)
    require_valid([plan.config(attempt) for attempt in _one_of_each_point(plan)])
    described = [plan.config(attempt._replace(share=1.0)) for attempt in first_attempts(plan)]
    _require_val(candidates, described, settings)
    plan.candidates = [
        dataclasses.replace(
            candidate,
            read_views=_read_views(config, length),
            length=length,
        )
        for candidate, config, length in zip(candidates, described, map(_length, described), strict=True)
    ]
    plan.options = dataclasses.replace(plan.options, by=_telling_apart(described, tuned_keys(candidates)))
    name = settings.name or name_of([job.overrides for job in composed])
    return plan, _sweep(plan, name, described[0].runs_dir)


def first_attempts(plan: StagedPlan) -> list[Attempt]:
    """The trials of the first stage."""
    return [first_attempt(candidate, plan.options.tuning) for candidate in plan.candidates]


def given_and_not_tuned(composed: Sequence[Composed], settings: SweepConfig) -> list[str]:
    """Settings of grids that the command gives, which are not chosen then."""
    given = {key for job in composed for key in settings_of(job.overrides)}
    keys = [key for described in settings.tune.grids.values() if isinstance(described, Mapping) for key in described]
    return [str(key) for key in dict.fromkeys(keys) if key in given] if settings.tune.seeds else []


def _require_no_choice_by_folds(
    candidates: Sequence[Candidate], overrides: Sequence[Sequence[str]], settings: SweepConfig
) -> None:
    """UserError where val would choose settings in each fold apart: the folds of a seed are one score."""
    folds = {settings_of(job)[FOLD] for job in overrides if FOLD in settings_of(job)}
    tuned = [candidate for candidate in candidates if candidate.is_tuned]
    if len(folds) > 1 and tuned and settings.tune.seeds:
        raise UserError(
            f"{FOLD} has {len(folds)} values, in each of which sweep.tune would choose settings of {tuned[0].method} "
            "apart: set sweep.tune.seeds=[] and give the settings, or sweep the grid without stages and choose by "
            "python -m analysis.compare --tune"
        )


def _require_methods(name: str, table: Mapping[str, object], methods: Collection[str]) -> None:
    unknown = [method for method in table if method not in methods]
    if unknown:
        raise UserError(f"{name}: unknown method {unknown[0]}{nearest(unknown[0], sorted(methods))}")


def _require_seeds(settings: SweepConfig) -> None:
    for method, most in settings.max_seeds.items():
        if most < 1:
            raise UserError(f"sweep.max_seeds.{method}={most} must be at least 1: leave the method out instead")


def _require_val(candidates: Sequence[Candidate], configs: Sequence[Config], settings: SweepConfig) -> None:
    """UserError where a method is to be chosen on a val that its trials train on."""
    for candidate, config in zip(candidates, configs, strict=True):
        if candidate.is_tuned and settings.tune.seeds and config.trainer.select is Selection.last:
            raise UserError(
                f"trainer.select=last trains on val, by which sweep.tune would choose settings of {candidate.method}: "
                "set sweep.tune.seeds=[] and give the settings"
            )


def _labels(settings: Sequence[dict[str, str]]) -> list[str]:
    """The overrides in which candidates differ; the method where there is one candidate."""
    varied = varied_keys(settings)
    labels = [" ".join(f"{key}={s[key]}" for key in varied if key in s) for s in settings]
    if len(labels) == 1:
        return [f"method={settings[0]['method']}" if "method" in settings[0] else "all"]
    return labels


def _candidate(job: Composed, label: str, settings: SweepConfig) -> Candidate:
    method = str(job.template.method.name)
    grid = read_grid(method, settings.tune.grids[method]) if method in settings.tune.grids else Grid()
    given = settings_of(job.overrides)
    grid = Grid(
        {key: values for key, values in grid.values.items() if key not in given},
        [pair for pair in grid.pairs if not set(pair) & set(given)],
    )
    seeds = list(dict.fromkeys(job.seeds or settings.seeds or [int(job.template.seed)]))
    return Candidate(label, method, seeds[: settings.max_seeds.get(method)], grid)


def _one_of_each_point(plan: StagedPlan) -> list[Attempt]:
    """Each point of each grid, and each candidate without one, once."""
    found = first_attempts(plan)
    if plan.options.tune_seeds:
        seed = plan.options.tune_seeds[0]
        found += [a for c in plan.candidates if c.is_tuned for a in attempts_at(c, c.grid.points, [seed])]
    return found


def _read_views(config: Config, length: Length) -> ReadViews | None:
    """The views whose features are stored; none where the backbone trains, or nothing does."""
    from hma_ft.engine.inputs import has_finite_views  # torch comes with it

    read = as_read(config)
    if _trains_backbone(read.method) or not read.trainer.cache_features or not length.steps:
        return None
    finite = read.augment.views if has_finite_views(read.augment) else None
    parts = [repr(getattr(read, name)) for name in _VIEWS]
    if finite is None:  # they are stored by step
        parts.append(repr((read.trainer.batch_size, read.trainer.grad_accumulation)))
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]
    return ReadViews(digest, read.trainer.max_steps * read.trainer.batch_size, finite or 0)


def _trains_backbone(method: MethodConfig) -> bool:
    inside = method.class_token, method.tokens.type is not TokenType.none, method.peft.target is not None
    return method.backbone is BackboneTuning.full or any(inside)


def _length(config: Config) -> Length:
    """How long a candidate trains; none where a fitted method reads no number of steps."""
    steps = config.trainer.max_steps
    longer = dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, max_steps=steps + 1))
    return Length() if as_read(longer) == as_read(config) else Length(steps, config.scheduler.warmup_steps)


def _telling_apart(configs: Sequence[Config], tuned: Collection[str]) -> list[str]:
    """Settings in which candidates of one method on one data set differ, which alone would be taken for one.

    Not the fold of cross-validation: the folds of a seed are one, as its comparison has them.
    """
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for config in configs:
        place = config.method.name, config.dataset.name
        groups.setdefault(place, []).append(params(dataclasses.asdict(config)))
    keys = [key for group in groups.values() for key in varied_keys(group)]
    return [key for key in dict.fromkeys(keys) if key not in ("seed", FOLD) and key not in tuned]


def _sweep(plan: StagedPlan, name: str, runs_dir: str) -> Sweep:
    """Its identity is what is compared and how it is chosen; how far grids may grow and the budget may change."""
    trials = [plan.trial(attempt, StageName.first) for attempt in first_attempts(plan)]
    choice = [[trial.key, c.seeds, c.grid.points] for trial, c in zip(trials, plan.candidates, strict=True)]
    halving = ["halving"] if plan.options.halving else []
    text = json.dumps([sorted(map(json.dumps, choice)), plan.options.tune_seeds, *halving])
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    safe = safe_name(name)
    directory = Path(runs_dir).absolute() / "sweeps" / f"{safe}-{digest}"
    return Sweep(directory=directory, name=safe, trials=trials, folder=os.getcwd())
