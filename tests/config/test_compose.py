"""Every shipped YAML composes into a configuration that has nothing wrong with it."""

from functools import cache
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig

from hma_ft.config import check
from hma_ft.config.frozen import typed, without_hydra
from hma_ft.config.register import register_schema
from hma_ft.config.schema import Config
from hma_ft.launch.composition import SharedComposition
from hma_ft.methods.validate import model_problems

CONF = Path(__file__).resolve().parents[2] / "conf"
GROUPS = (
    "model",
    "method",
    "method/peft",
    "dataset",
    "optimizer",
    "scheduler",
    "augment",
    "trainer",
    "tracking",
    "experiment",
    "debug",
)
CHOICES = [
    (group, path.relative_to(CONF / group).with_suffix("").as_posix())
    for group in GROUPS
    for path in sorted((CONF / group).rglob("*.yaml"))
    if group != "method" or path.parent == CONF / group  # conf/method/peft is a group of its own
]


def config_loader() -> ConfigLoader:
    register_schema()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return GlobalHydra.instance().config_loader()


@cache
def _composition() -> tuple[SharedComposition, DictConfig]:
    loader = config_loader()
    return SharedComposition(loader), loader.load_configuration("config", [], RunMode.RUN)


def composed(*overrides: str) -> Config:
    shared, nothing_chosen = _composition()
    return typed(without_hydra(shared.load_sweep_config(nothing_chosen, [f"dataset.root={CONF}", *overrides])))


@pytest.mark.parametrize(("group", "choice"), CHOICES, ids=lambda value: value)
def test_every_choice_of_every_group(group: str, choice: str) -> None:
    config = composed(f"{group}={choice}", *(["method=head"] if group == "method/peft" else []))
    assert check(config) == []
    assert model_problems(config) == []


@pytest.mark.parametrize(
    ("group", "choice"), [c for c in CHOICES if c[0] in ("method", "method/peft", "model", "dataset")]
)
def test_a_file_says_what_it_is(group: str, choice: str) -> None:
    text = (CONF / group / f"{choice}.yaml").read_text()
    assert text.startswith("# ")
    if group == "model":  # it has timm's name, and a short one
        assert f"short_name: {choice}\n" in text
    elif not text.startswith("# @package method\n"):  # keys of the method's that had no group
        assert f"name: {choice}\n" in text or f"name: {choice}_${{" in text  # followed by a task


def test_the_defaults_are_the_released_run() -> None:
    config = composed()
    assert config.model.name == "vit_base_patch32_224.augreg_in21k"
    assert (config.method.name, config.dataset.name) == ("hma", "dtd")
    assert (config.optimizer.name, config.optimizer.lr, config.optimizer.momentum) == ("sgd", 0.01, 0.9)
    assert (config.trainer.max_steps, config.scheduler.warmup_steps, config.scheduler.name) == (1000, 10, "cosine")
    assert (config.method.hma.real.size, config.method.hma.synthetic.slots) == (512, 16)
    assert (config.trainer.batch_size, config.trainer.eval_every) == (128, 30)


@pytest.mark.parametrize(
    ("method", "rate"),
    [("full", 0.003), ("head_cls", 0.01), ("tokens_prop", 0.003), ("tokens_standard", 0.003), ("hma", 0.01)],
)
def test_a_method_brings_its_documented_rate_unless_overridden(method: str, rate: float) -> None:
    assert composed(f"method={method}").optimizer.lr == rate
    assert composed(f"method={method}", "optimizer.lr=0.5").optimizer.lr == 0.5


def test_a_short_run_shortens_the_documented_warm_up() -> None:
    assert composed("trainer.max_steps=5").scheduler.warmup_steps == 5
