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
        "dataset.options.partition=2",
    ],
)
def test_what_matters(override: str) -> None:
    assert fingerprint(composed(override)) != fingerprint(composed())


@pytest.mark.parametrize(
    "override",
    [
        *("trainer.workers=0", "trainer.log_every=1", "trainer.feature_reuse=false", "trainer.device=cpu"),
        *("tracking=off", "tracking.uri=sqlite:///x.db", "runs_dir=elsewhere", "fresh=true", "dataset.download=false"),
        *("sweep.name=x", "model.label=mine", "trainer.checkpoint_minutes=1"),
    ],
)
def test_what_does_not(override: str) -> None:
    assert fingerprint(composed(override)) == fingerprint(composed())


@pytest.mark.parametrize(
    ("overrides", "before"),
    [
        (["method=hma"], "78837222f2f227e5b4187a25139dee26fc4c516697cc0ee769048d735622968f"),
        (["method=knn"], "95ee169f55422634711ef9ec0208049a5c584cd528d985e91a8ce0e99cd38833"),
        (["method=tokens_standard"], "ba4d5ad8f9724d3e046623f23d165136cf4aef67a5f67fd9aa34c2c8744623cb"),
        (["method=head", "trainer=gpu"], "28c486e14eba76b9eb90111c9d1b682c94511068a47212844df2dfc77e5a2073"),
    ],
    ids=str,
)
def test_runs_without_peft_keep_theirs(overrides: list[str], before: str) -> None:
    """Values of the code that had neither `method.peft` nor an optimizer and a batch size in `method.recipe`."""
    assert fingerprint(composed("dataset=digits", *overrides)) == before


def test_peft_and_its_options_matter() -> None:
    runs = [
        ["method=head"],
        ["method=head", "method/peft=lora"],
        ["method=head", "method/peft=dora"],
        ["method=head", "method/peft=lora", "method.peft.options.rank=4"],
        ["method=head", "method/peft=lora", "method.peft.drop_path=0"],
    ]
    assert len({fingerprint(composed(*overrides)) for overrides in runs}) == len(runs)


def test_another_root_is_the_same_run(tmp_path: Path) -> None:
    assert fingerprint(composed(f"dataset.root={tmp_path}")) == fingerprint(composed())


def test_weights_count_by_their_contents(tmp_path: Path) -> None:
    for name, content in (("a.pth", b"1"), ("b.pth", b"1"), ("c.pth", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (fingerprint(composed(f"model.weights={tmp_path / name}.pth")) for name in "abc")
    assert a == b != c
    (tmp_path / "a.pth").write_bytes(b"changed")
    assert fingerprint(composed(f"model.weights={tmp_path / 'a.pth'}")) not in (a, c)


def test_a_frozen_file_is_the_same_run(tmp_path: Path) -> None:
    config = composed("method=tokens_standard", "augment=mixup", "seed=3")
    save_config(config, tmp_path / "config.yaml")
    again = load_config(tmp_path / "config.yaml")
    assert again == config
    assert run_directory(again) == run_directory(config)
    assert run_directory(config).parts[:2] == ("runs", "dtd")
    assert run_directory(config).name.startswith("tokens_standard-vit_b32-seed3-")
