"""Plans of sweeps with stages: candidates, their trials and identity, mistakes, the way to disk and back."""

import dataclasses
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from hma_ft.config.register import register_schema
from hma_ft.config.schema import SweepConfig, TuneConfig
from hma_ft.errors import UserError
from hma_ft.launch.candidates import Attempt
from hma_ft.launch.halving import Length
from hma_ft.launch.staged_plan import StagedPlan, load_plan
from hma_ft.launch.staged_planning import Composed, make_staged_plan
from tests.config.test_compose import CONF, composed

METHODS = ("head", "knn", "hma_head", "full")
GRIDS = {"head": {"optimizer.lr": [0.01, 0.1]}, "full": {"optimizer.lr": [1.0]}}
SETTINGS = SweepConfig(
    seeds=[0, 1, 2],
    max_seeds={"knn": 2},
    tune=TuneConfig(seeds=[7], grids=GRIDS),
    compare=True,
)


@pytest.fixture(scope="module")
def templates() -> dict[str, DictConfig]:
    """head and knn as Hydra composes them."""
    register_schema()
    found = {}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for method in ("head", "knn"):
            overrides = [f"method={method}", "model=vit_micro", "dataset=digits", f"dataset.root={CONF}"]
            found[method] = compose("config", [*overrides, "dataset.split_seed=${seed}"])
            OmegaConf.set_struct(found[method], False)
    return found


def planned(
    templates: dict[str, DictConfig], settings: SweepConfig = SETTINGS, more: tuple[str, ...] = ()
) -> StagedPlan:
    jobs = [Composed([f"method={method}", *more], template, []) for method, template in templates.items()]
    return make_staged_plan(jobs, settings, METHODS)[0]


def test_each_method_has_its_own_grid_and_its_own_number_of_seeds(templates: dict[str, DictConfig]) -> None:
    head, knn = planned(templates).candidates
    assert (head.label, head.grid.points, head.seeds) == (
        "method=head",
        [{"optimizer.lr": 0.01}, {"optimizer.lr": 0.1}],
        [0, 1, 2],
    )
    assert (knn.label, knn.grid.points, knn.seeds) == ("method=knn", [{}], [0, 1])


def test_what_the_command_gives_is_not_tuned(templates: dict[str, DictConfig]) -> None:
    head, _ = planned(templates, more=("optimizer.lr=0.5",)).candidates
    assert head.grid.points == [{}]
    jobs = [Composed(["method=head"], templates["head"], [5, 6])]
    plan, _ = make_staged_plan(jobs, dataclasses.replace(SETTINGS, baseline="head"), METHODS)
    assert plan.candidates[0].seeds == [5, 6]


def test_a_trial_is_the_run_that_its_own_command_would_be(templates: dict[str, DictConfig]) -> None:
    plan = planned(templates)
    found = plan.config(Attempt(plan.candidates[0], {"optimizer.lr": 0.1}, 7))
    alone = composed(
        *("method=head", "model=vit_micro", "dataset=digits", "optimizer.lr=0.1", "seed=7", "dataset.split_seed=7")
    )
    assert found == alone


def test_a_short_trial_is_a_run_of_fewer_steps_and_what_is_fitted_has_none(templates: dict[str, DictConfig]) -> None:
    plan = planned(templates, dataclasses.replace(SETTINGS, tune=dataclasses.replace(SETTINGS.tune, halving=True)))
    head, knn = plan.candidates
    assert (head.length, knn.length) == (Length(1000, 10), Length())
    config = plan.config(Attempt(head, {"optimizer.lr": 0.1}, 7, share=1 / 9))
    assert (config.trainer.max_steps, config.scheduler.warmup_steps, config.optimizer.lr) == (111, 1, 0.1)
    assert plan.options.tuning.shares_of(knn) == (1.0,)


def test_the_sweep_is_what_is_compared_and_how_it_is_chosen(templates: dict[str, DictConfig]) -> None:
    def identity(settings: SweepConfig, order: int = 1) -> str:
        jobs = [Composed([f"method={m}"], t, []) for m, t in list(templates.items())[::order]]
        return make_staged_plan(jobs, settings, METHODS)[1].directory.name

    tune = SETTINGS.tune
    same = dataclasses.replace(SETTINGS, tune=dataclasses.replace(tune, extend=5), budget_minutes=3.0)
    other_seeds = dataclasses.replace(SETTINGS, tune=dataclasses.replace(tune, seeds=[8]))
    halved = dataclasses.replace(SETTINGS, tune=dataclasses.replace(tune, halving=True))
    other_grid = dataclasses.replace(tune, grids={"head": {"optimizer.lr": [0.01, 0.2]}})
    assert identity(SETTINGS) == identity(same) == identity(SETTINGS, order=-1)
    assert (
        len({identity(s) for s in (SETTINGS, other_seeds, halved, dataclasses.replace(SETTINGS, tune=other_grid))}) == 4
    )


def test_from_disk_it_is_the_same_plan(templates: dict[str, DictConfig], tmp_path: Path) -> None:
    plan = planned(templates)
    plan.save(tmp_path)
    again = load_plan(tmp_path)
    assert (again.candidates, again.options) == (plan.candidates, plan.options)
    attempt = Attempt(plan.candidates[0], {"optimizer.lr": 0.1}, 3)
    assert again.config(attempt) == plan.config(attempt)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"tune": TuneConfig(seeds=[1, 7])}, "the seeds of the comparison share 1"),
        ({"tune": TuneConfig(seeds=[7], grids={"hed": {}})}, "sweep.tune.grids: unknown method hed"),
        (
            {"tune": TuneConfig(seeds=[7], grids={"head": {"optimizer.x": [1, 2]}})},
            "Key 'x' not in 'OptimizerConfig'",
        ),
        ({"tune": TuneConfig(seeds=[7], grids={"head": {"optimizer.lr": [0.1, -1.0]}})}, "optimizer.lr=-1"),
        (
            {"tune": TuneConfig(seeds=[7], grids={"head": {"trainer.max_steps": [5, 9]}}, halving=True)},
            "sweep.tune.halving=true makes trials shorter, but a grid has values of trainer.max_steps: leave one out",
        ),
        ({"tune": TuneConfig(seeds=[7], extend=-1)}, "sweep.tune.extend=-1 must be 0 or greater"),
        ({"max_seeds": {"ful": 3}}, "sweep.max_seeds: unknown method ful"),
        ({"max_seeds": {"head": 0}}, "sweep.max_seeds.head=0 must be at least 1: leave the method out instead"),
        ({"baseline": "full"}, "sweep.baseline=full is not part of the sweep, which has head, knn"),
        ({"budget_minutes": 0.0}, "sweep.budget_minutes=0 must be greater than 0"),
    ],
)
def test_mistakes_are_plain_lines(templates: dict[str, DictConfig], changes: dict[str, object], line: str) -> None:
    with pytest.raises(UserError) as error:
        planned(templates, dataclasses.replace(SETTINGS, **changes))  # type: ignore[arg-type]  # fields by name
    assert line in str(error.value)


def test_nothing_is_chosen_by_a_val_that_was_trained_on(templates: dict[str, DictConfig]) -> None:
    for template in templates.values():
        template.trainer.select = "last"
    with pytest.raises(UserError, match=r"trainer.select=last trains on val, by which sweep.tune would choose .* head"):
        planned(templates)
    planned(templates, dataclasses.replace(SETTINGS, tune=TuneConfig()))


def test_folds_are_compared_as_one_and_not_chosen_in_apart(templates: dict[str, DictConfig]) -> None:
    jobs = []
    for number in (1, 2, 3):
        for method, template in templates.items():
            own = template.copy()
            OmegaConf.update(own, "dataset.options.fold", f"{number}/3", force_add=True)
            jobs.append(Composed([f"method={method}", f"dataset.options.fold={number}/3"], own, []))
    with pytest.raises(UserError, match="has 3 values, in each of which sweep"):
        make_staged_plan(jobs, SETTINGS, METHODS)
    plan, _ = make_staged_plan(jobs, dataclasses.replace(SETTINGS, tune=TuneConfig()), METHODS)
    assert len(plan.candidates) == 6 and plan.options.by == []
