"""Configurations become trials: identity, labels, mistakes."""

import dataclasses

import pytest

from hma_ft.config.schema import Config, Task
from hma_ft.errors import UserError
from hma_ft.launch.plan import make_plan


def job(*overrides: str, **fields: object) -> tuple[list[str], Config]:
    return list(overrides), dataclasses.replace(Config(), **fields)  # type: ignore[arg-type]


def test_a_sweep_is_the_set_of_its_trials() -> None:
    jobs = [job(f"seed={seed}", seed=seed) for seed in (0, 1, 2)]
    forward, backward, fewer = make_plan(jobs), make_plan(jobs[::-1]), make_plan(jobs[:2])
    assert forward.sweep.directory == backward.sweep.directory
    assert forward.sweep.directory != fewer.sweep.directory
    assert {t.key: t.directory for t in fewer.sweep.trials}.items() <= {
        t.key: t.directory for t in forward.sweep.trials
    }.items()


def test_two_jobs_with_one_configuration_are_one_trial() -> None:
    jobs = [job("seed=0", "trainer.workers=1"), job("seed=0", "trainer.workers=2")]
    jobs[1][1].trainer.workers = 2  # changes no result
    plan = make_plan(jobs)
    assert len(plan.sweep.trials) == 1
    assert plan.keys == [plan.sweep.trials[0].key] * 2


def test_labels_and_names_say_what_varies() -> None:
    jobs = [
        job("dataset=dtd", f"+method={m}", f"seed={s}", "sweep.wait=false", "hydra/launcher=slurm", seed=s, runs_dir=m)
        for m in ("a", "b")
        for s in (0, 1)
    ]
    plan = make_plan(jobs)
    assert plan.sweep.name == "method-seed"
    assert [t.label for t in plan.sweep.trials][:2] == ["method=a seed=0", "method=a seed=1"]
    assert make_plan(jobs[:1]).sweep.trials[0].label == "dataset=dtd method=a seed=0"


def test_all_mistakes_of_all_trials_are_told_at_once() -> None:
    jobs = [job("a"), job("b"), job("c")]
    jobs[0][1].trainer.max_steps = -1
    jobs[1][1].optimizer.lr = -1.0
    jobs[2][1].optimizer.lr = -1.0
    with pytest.raises(UserError) as error:
        make_plan(jobs)
    lines = str(error.value).splitlines()
    assert any("trainer.max_steps=-1" in line for line in lines)
    assert sum("optimizer.lr=-1" in line for line in lines) == 1


def test_only_training_is_swept() -> None:
    with pytest.raises(UserError, match="task=prepare"):
        make_plan([job("task=prepare", task=Task.prepare)])
