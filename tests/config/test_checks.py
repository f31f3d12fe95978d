"""Impossible values: one line each, with the value."""

import pytest

from hma_ft.config import check
from tests.config.test_compose import composed


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["optimizer.lr=-1"], "optimizer.lr=-1 must be greater than 0"),
        (["optimizer.name=lion"], "unknown optimizer.name=lion: use one of sgd, adam, adamw"),
        (["optimizer.momentum=1"], "optimizer.momentum=1 must be at least 0 and less than 1"),
        (["optimizer.layer_decay=1.5"], "optimizer.layer_decay=1.5 must be greater than 0 and at most 1"),
        (["scheduler.name=step"], "unknown scheduler.name=step: use one of cosine, constant"),
        (["trainer.max_steps=5", "scheduler.warmup_steps=9"], "scheduler.warmup_steps=9 is longer than the run"),
        (["trainer.max_steps=0"], "trainer.max_steps=0 must be greater than 0"),
        (["trainer.batch_size=-3"], "trainer.batch_size=-3 must be greater than 0"),
        (["trainer.num_workers=-1"], "trainer.num_workers=-1 must be 0 or greater"),
        (["trainer.ema_decay=1"], "trainer.ema_decay=1 must lie between 0 and 1"),
        (["trainer.patience=0"], "trainer.patience=0 must be greater than 0"),
        (["trainer.patience=3", "trainer.select=last"], "trainer.patience=3 has no meaning with trainer.select=last"),
        (
            ["method=head", "method.head_init=logreg", "trainer.select=last"],
            "method.head_init=logreg has no meaning with trainer.select=last",
        ),
        (["trainer.clip_grad_norm=0"], "trainer.clip_grad_norm=0 must be greater than 0"),
        (["dataset.val_fraction=1"], "dataset.val_fraction=1 must lie between 0 and 1"),
        (["dataset=folder", "dataset.root=/no/such"], "dataset.root=/no/such is not a directory"),
        (["dataset=folder", "dataset.root=.", "dataset.options.fold=6/5"], "dataset.options.fold=6/5 must be i/k"),
        (["dataset=folder", "dataset.root=.", 'dataset.options.group="(a"'], "dataset.options.group=(a is no regular"),
        (["model.weights=/no/such.pth"], "model.weights=/no/such.pth does not exist"),
        (["augment.crop_scale=[0.5,0.1]"], "augment.crop_scale=[0.5, 0.1] must be two numbers, the smaller one first"),
        (
            ["augment.auto_augment=cutout"],
            "unknown augment.auto_augment=cutout: use one of randaugment, trivialaugment",
        ),
        (["augment.views=0"], "augment.views=0 must be greater than 0"),
        (["augment.label_smoothing=1"], "augment.label_smoothing=1 must be at least 0 and less than 1"),
        (["method.hma.real.size=-1"], "method.hma.real.size=-1 must be 0 or greater"),
        (["method.hma.real.momentum=1.1"], "method.hma.real.momentum=1.1 must lie between 0 and 1"),
        (["method.hma.top_k=0"], "method.hma.top_k=0 must be greater than 0"),
        (["method.class_token=true"], "method.class_token=true has no meaning with method.backbone=full"),
        (["task=evaluate"], "task=evaluate needs run=DIR"),
        (["task=predict", "coverage=0"], "coverage=0 must be greater than 0 and at most 1"),
        (["task=predict", "coverage=90"], "coverage=90 must be greater than 0 and at most 1"),
        (["task=predict", "nearest=-1"], "nearest=-1 must be 0 or greater"),
        (["coverage=0.9"], "coverage=0.9 is not read by task=train"),
        (["task=evaluate", "nearest=3"], "nearest=3 is not read by task=evaluate"),
        (["task=predict", "run=/no/such"], "run=/no/such is not a directory"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_it_is_named_with_its_value(overrides: list[str], expected: str) -> None:
    problems = check(composed(*overrides))
    assert any(problem.startswith(expected) for problem in problems), problems
    assert all("\n" not in problem for problem in problems)


def test_all_at_once() -> None:
    wrong = ["optimizer.lr=-1", "trainer.batch_size=0", "augment.flip=2", "method.hma.score_scale=0"]
    assert len(check(composed(*wrong))) == 4
