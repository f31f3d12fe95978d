"""Configurations become trials: identity, labels, mistakes."""

import dataclasses
import itertools

import pytest

from hma_ft.config.schema import Config, MethodConfig, Task
from hma_ft.errors import UserError
from hma_ft.launch.plan import make_plan
from tests.config.test_compose import composed


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
    jobs = [job("seed=0", "trainer.num_workers=1"), job("seed=0", "trainer.num_workers=2")]
    jobs[1][1].trainer.num_workers = 2  # changes no result
    plan = make_plan(jobs)
    assert len(plan.sweep.trials) == 1
    assert plan.keys == [plan.sweep.trials[0].key] * 2


def swept(*axes: str) -> list[tuple[list[str], Config]]:
    """The jobs of `-m` over the axes, composed from conf/."""
    choices = [[f"{axis.partition('=')[0]}={value}" for value in axis.partition("=")[2].split(",")] for axis in axes]
    return [(list(overrides), composed(*overrides)) for overrides in itertools.product(*choices)]


def test_trials_that_differ_in_what_they_never_read_are_planned_once() -> None:
    jobs = swept("model=vit_micro", "method=head,knn", "optimizer.lr=0.01,0.1", "trainer.max_steps=100,200", "seed=0,1")
    plan = make_plan(jobs)
    assert plan.repeated == 6 and len(plan.sweep.trials) == 10
    assert [t.label for t in plan.sweep.trials if "knn" in t.label] == ["method=knn seed=0", "method=knn seed=1"]
    assert len({t.directory for t in plan.sweep.trials}) == 10
    first = {key: config for key, (_, config) in reversed(list(zip(plan.keys, jobs, strict=True)))}
    assert plan.configs == first
    of_knn = [key for key, (overrides, _) in zip(plan.keys, jobs, strict=True) if "method=knn" in overrides]
    assert len(of_knn) == 8 and set(of_knn) == {t.key for t in plan.sweep.trials if "knn" in t.label}


def test_one_run_keeps_what_its_jobs_have_in_common() -> None:
    (trial,) = make_plan(swept("model=vit_micro", "method=knn", "optimizer.lr=0.01,0.1")).sweep.trials
    assert trial.label == "model=vit_micro method=knn"


def test_micro_batches_of_a_method_that_reads_its_batch_are_refused() -> None:
    jobs = swept("model=vit_micro", "method=head,hma_head", "trainer.grad_accumulation=1,2")
    with pytest.raises(UserError) as error:
        make_plan(jobs)
    (line,) = str(error.value).splitlines()
    assert line.startswith("trainer.grad_accumulation=2 would narrow what an image of method=hma_head attends to")


def test_labels_and_names_say_what_varies() -> None:
    jobs = [
        job(
            *("dataset=dtd", f"+method={m}", f"seed={s}", "sweep.wait=false", "hydra/launcher=slurm"),
            seed=s,
            method=MethodConfig(name=m),
        )
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
