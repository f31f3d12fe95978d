"""Settings that were renamed are accepted under their old names, and change no run's identity."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from hma_ft.config import Config, fingerprint, load_config, save_config
from hma_ft.config.aliases import (
    RENAMED,
    current_setting,
    hashed_setting,
    with_current_keys,
    with_current_names,
    with_current_overrides,
)
from hma_ft.errors import UserError
from tests.config.conftest import Command
from tests.config.test_compose import composed


def with_old_names(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as the version before the renames wrote them."""
    old = {}
    for name, value in values.items():
        key, inner = hashed_setting(f"{prefix}{name}", value)
        old[key.removeprefix(prefix)] = with_old_names(inner, f"{prefix}{name}.") if isinstance(inner, dict) else inner
    return old


def test_every_new_name_is_a_setting_and_no_old_one_is() -> None:
    settings = OmegaConf.structured(Config)
    for new, old in RENAMED.items():
        assert OmegaConf.select(settings, new, default="missing") != "missing", new
        with pytest.raises(Exception, match="not in"):
            OmegaConf.update(settings, old, None)
        assert new.rpartition(".")[0] == old.rpartition(".")[0]  # a setting stays in its group


def test_an_old_name_on_the_command_line_warns_and_counts(command: Command) -> None:
    done = command("trainer.workers=3", "method.hma.temperature=2", "--cfg", "job")
    assert done.code == 0
    assert done.err.splitlines() == [
        "warning: trainer.workers is called trainer.num_workers now",
        "warning: method.hma.temperature is called method.hma.score_scale now",
    ]
    shown = yaml.safe_load(done.out)
    assert shown["trainer"]["num_workers"] == 3 and shown["method"]["hma"]["score_scale"] == 2.0


def test_a_mistake_under_an_old_name_is_still_one(command: Command) -> None:
    done = command("trainer.workers=many")
    assert done.code == 2
    warning, error = done.err.splitlines()
    assert warning.startswith("warning: ")
    assert error.startswith("error: trainer.num_workers=many must be a whole number")


def test_command_lines_are_translated() -> None:
    given = ["-m", "++trainer.workers=0,1", "hydra.launcher.jobs=2", "method=hma", "augment.policy=a=b", "seed"]
    translated, notes = with_current_overrides(given)
    assert translated == [
        *("-m", "++trainer.num_workers=0,1", "hydra.launcher.n_jobs=2", "method=hma", "augment.auto_augment=a=b"),
        "seed",
    ]
    assert len(notes) == 3
    moved, (note,) = with_current_overrides(["dataset.target=hma_ft.data.sources.dtd.DTD"])
    assert moved == ["dataset.target=hma_ft.data.datasets.dtd.DTD"] and "hma_ft.data.datasets" in note


@pytest.mark.parametrize("new", RENAMED)
def test_names_are_translated_both_ways(new: str) -> None:
    assert current_setting(*hashed_setting(new, 7)) == (new, 7)
    assert with_current_keys({RENAMED[new]: "x", "seed": "0"}) == {new: "x", "seed": "0"}


@pytest.mark.parametrize(
    "overrides",
    [
        ["method=hma", "method.hma.null_key=true", "method.hma.score_scale=3", "method.hma.tie_query_key_init=true"],
        ["method=head", "dataset=cifar10", "augment=randaugment", "dataset.held_out_classes=2"],
        ["method=hma_head", "method.hma.batch_attention=false", "model.short_name=mine", "trainer.num_workers=0"],
    ],
)
def test_an_old_frozen_file_is_the_same_run(overrides: list[str], tmp_path: Path) -> None:
    config = composed(*overrides)
    save_config(config, tmp_path / "new.yaml")
    values = yaml.safe_load((tmp_path / "new.yaml").read_text())
    old = with_old_names(values)
    assert "workers" in old["trainer"] and old["dataset"]["target"].startswith("hma_ft.data.sources.")
    assert with_current_names(old) == values
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(old))
    read = load_config(tmp_path / "old.yaml")
    assert read == config and fingerprint(read) == fingerprint(config)


def test_a_name_that_never_was_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("trainer: {loaders: 3}\n")
    with pytest.raises(UserError, match="has a setting that this version doesn't know"):
        load_config(tmp_path / "config.yaml")
