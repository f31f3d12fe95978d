"""A run's identity: what matters changes it, what doesn't leaves it."""

from pathlib import Path

import pytest

from hma_ft.config import fingerprint, load_config, run_directory, save_config
from tests.config.test_compose import composed


@pytest.mark.parametrize(
    "override",
    [
        *("seed=1", "model=vit_b16", "method=head", "method.hma.real.size=64", "method.hma.inference=batch"),
        *("dataset=cifar10", "dataset.split_seed=1", "optimizer.lr=0.1", "scheduler=constant", "augment.flip=0"),
        *("augment.image_size=256", "trainer.max_steps=7", "trainer.precision=bf16", "trainer.eval_every=9"),
        *("dataset.options.partition=2", "dataset.exif_orientation=true", "dataset.test_fraction=0.3"),
    ],
)
def test_what_matters(override: str) -> None:
    assert fingerprint(composed(override)) != fingerprint(composed())


@pytest.mark.parametrize(
    "override",
    [
        *("trainer.workers=0", "trainer.log_every=1", "trainer.feature_reuse=false", "trainer.device=cpu"),
        *("tracking=off", "tracking.uri=sqlite:///x.db", "runs_dir=elsewhere", "fresh=true", "dataset.download=false"),
        "dataset.verify_content=true",
        *("sweep.name=x", "model.label=mine", "trainer.checkpoint_minutes=1"),
    ],
)
def test_what_does_not(override: str) -> None:
    assert fingerprint(composed(override)) == fingerprint(composed())


def test_another_root_is_the_same_run(tmp_path: Path) -> None:
    assert fingerprint(composed(f"dataset.root={tmp_path}")) == fingerprint(composed())


def test_weights_count_by_their_contents(tmp_path: Path) -> None:
    for name, content in (("a.pth", b"1"), ("b.pth", b"1"), ("c.pth", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (fingerprint(composed(f"model.weights={tmp_path / name}.pth")) for name in "abc")
    assert a == b != c
    (tmp_path / "a.pth").write_bytes(b"changed")
    assert fingerprint(composed(f"model.weights={tmp_path / 'a.pth'}")) not in (a, c)


def test_a_folder_run_of_before_keeps_its_fingerprint(tmp_path: Path) -> None:
    """Its frozen configuration knows nothing of EXIF orientations, which it ignored; a new run is another one."""
    config = composed("dataset=folder", f"dataset.root={tmp_path}")
    save_config(config, tmp_path / "config.yaml")
    frozen = (tmp_path / "config.yaml").read_text()
    for line in ("  exif_orientation: true\n", "  test_fraction: 0.2\n"):
        assert line in frozen
        frozen = frozen.replace(line, "")
    (tmp_path / "config.yaml").write_text(frozen)
    before = load_config(tmp_path / "config.yaml")
    assert before.dataset.exif_orientation is False and config.dataset.exif_orientation is True
    assert fingerprint(before) == fingerprint(composed("dataset=folder", "dataset.exif_orientation=false"))
    assert fingerprint(before) != fingerprint(config)


def test_a_frozen_file_is_the_same_run(tmp_path: Path) -> None:
    config = composed("method=tokens_standard", "augment=mixup", "seed=3")
    save_config(config, tmp_path / "config.yaml")
    again = load_config(tmp_path / "config.yaml")
    assert again == config
    assert run_directory(again) == run_directory(config)
    assert run_directory(config).parts[:2] == ("runs", "dtd")
    assert run_directory(config).name.startswith("tokens_standard-vit_b32-seed3-")
