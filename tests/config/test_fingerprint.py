"""A run's identity: what matters changes it, what doesn't leaves it."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from analysis.compare.records.archive import read_archive
from hma_ft.config import Config, fingerprint, load_config, run_directory, save_config, typed
from hma_ft.config.fingerprint import CHANGED, fingerprint_with
from hma_ft.config.reads import RULES, unread
from hma_ft.config.schema import Reads
from tests.config.test_compose import composed

# Fingerprints, as far as 16 digits, of the release before a change. A setting that comes to mean something else, or is
# added, takes its own from those runs only that use it.
KEPT = {
    "method=hma": "d70e8d91fae35c04",
    "method=head": "4413b1069c851f20",
    "method=knn": "05b114ab36a9c108",
    "method=hma_head_released": "8601dd270e38758c",
    "method=tokens_standard": "8fda04810526cf40",
    "method=mlp_head optimizer=adamw": "001d98c0aed0823e",
    "method=full optimizer=adamw": "14a9af47a33f054a",
    "method=full trainer=gpu": "56ce333ec1b5db91",
    "method=mlp_head trainer=gpu": "3b8896da196a9899",
    "method=hma augment=mixup": "656c2157bbee495f",
    "method=head_knn seed=3 dataset=cifar10": "71288dba65650306",
    "method=head_knn dataset.held_out_classes=2": "16cce4aeab82b270",
    "method=head_knn_tuned": "ed2b31bf658250cc",
}
ANOTHER_MEANING = {
    "method=hma optimizer=adamw": "f94a8168e15d69a8",
    "method=hma_head trainer=gpu": "2614fd54448c1386",
    "method=head_knn trainer=gpu": "82ee7c06bf859b49",
    "method=head trainer.ema_decay=0.99": "075a827c9f8f52fc",
    "method=full augment=digits": "745d57b626e9d53b",
    "method=full augment=randaugment": "a4fbbff0c76be7de",
    "method=knn dataset.held_out_classes=2": "718b0a36d8568d1b",
    "method=head_knn_tuned dataset.held_out_classes=2": "41c932c099f4db58",
    "method=head_knn_tuned trainer=gpu": "360d717544223e02",
}


@pytest.mark.parametrize(
    "override",
    [
        *("seed=1", "model=vit_b16", "method=head", "method.hma.real.size=64", "method.hma.inference=batch"),
        *("dataset=cifar10", "dataset.split_seed=1", "optimizer.lr=0.1", "scheduler=constant", "augment.flip=0"),
        *("augment.image_size=256", "trainer.max_steps=7", "trainer.precision=bf16", "trainer.eval_every=9"),
        *("trainer.sampling=balanced", "trainer.class_weights=balanced", "trainer.logit_adjustment=1"),
        *("trainer.select=last", "trainer.patience=3", "augment.resize=squash", "model.normalise=false"),
        *("dataset.options.partition=2", "dataset.exif_orientation=true", "dataset.test_fraction=0.3"),
    ],
)
def test_what_matters(override: str) -> None:
    assert fingerprint(composed(override)) != fingerprint(composed())


@pytest.mark.parametrize(
    "override",
    [
        *("trainer.num_workers=0", "trainer.log_every=1", "trainer.cache_features=false", "trainer.device=cpu"),
        *("tracking=off", "tracking.uri=sqlite:///x.db", "runs_dir=elsewhere", "fresh=true", "dataset.download=false"),
        "dataset.verify_content=true",
        *("sweep.name=x", "model.short_name=mine", "trainer.checkpoint_minutes=1"),
    ],
)
def test_what_does_not(override: str) -> None:
    assert fingerprint(composed(override)) == fingerprint(composed())


@cache
def of(overrides: str) -> Config:
    """The configuration of overrides with a space between them."""
    return composed(*overrides.split())


@pytest.mark.parametrize("overrides", KEPT)
def test_old_runs_keep_theirs(overrides: str) -> None:
    assert fingerprint(of(overrides))[:16] == KEPT[overrides]


@pytest.mark.parametrize("overrides", ANOTHER_MEANING)
def test_runs_whose_settings_mean_something_else_are_others(overrides: str) -> None:
    assert fingerprint(of(overrides))[:16] != ANOTHER_MEANING[overrides]


def test_each_change_of_meaning_concerns_some_runs_only() -> None:
    concerned = [of(overrides) for overrides in ANOTHER_MEANING]
    others = [of(overrides) for overrides in KEPT]
    for change in CHANGED:
        assert any(change.when(config) for config in concerned), change.key
        assert not any(change.when(config) for config in others), change.key


def archived() -> list[Path]:
    """Archives of the study."""
    return sorted((Path(__file__).parents[2] / "docs/study").glob("*.records.npz"))


@pytest.mark.parametrize("path", archived(), ids=lambda path: path.name.partition(".")[0])
def test_archived_runs_are_recognised(path: Path) -> None:
    """Their settings give the fingerprint that they were recorded with, but for what means something else by now."""
    runs = read_archive(path)[0][::13]
    recognised = 0
    for run in runs:
        config = from_params(run.params)
        weights = run.env.get("weights_sha256")
        before_reads = "method.reads" not in run.params and not config.method.reads  # all its settings counted then
        if weights is None or before_reads or any(change.when(config) for change in CHANGED):
            continue
        assert fingerprint_with(config, weights) == run.fingerprint, run.name
        recognised += 1
    if all(run.env.get("weights_sha256") for run in runs):
        assert recognised > len(runs) / 2


def from_params(params: dict[str, str]) -> Config:
    """A configuration out of its flat text; what the method reads, which old records lack, as its class does today."""
    nested: dict[str, Any] = {}
    for key, text in params.items():
        *groups, name = key.split(".")
        node = nested
        for group in groups:
            node = node.setdefault(group, {})
        node[name] = yaml.safe_load(text)
    config = typed(OmegaConf.create(nested))
    config.method.reads = declared().get(config.method.target, config.method.reads)
    return config


@cache
def declared() -> dict[str, list[Reads]]:
    """What methods read that don't read everything, by their class."""
    methods = [of(f"method={name}").method for name in ("full", "head_knn", "knn")]
    return {method.target: method.reads for method in methods}


@pytest.mark.parametrize(
    ("base", "unread"),
    [
        ("method=knn", "optimizer=adamw optimizer.lr=0.5 scheduler=constant trainer.max_steps=7 trainer.batch_size=8"),
        ("method=knn", "augment=mixup augment.crop_scale=[0.5,1] trainer.eval_every=5 trainer.ema_decay=0.9"),
        ("method=knn", "method.hma.heads=2 trainer.clip_grad_norm=1 trainer.grad_accumulation=4"),
        ("method=head", "method.hma.heads=2 method.hma.real.size=7 method.tokens.number=9"),
        ("method=hma optimizer=adam", "optimizer.momentum=0.5"),
        ("method=hma", "augment.randaugment_ops=4 dataset.corruption_severity=5 method.hma.renormalise_top_k=true"),
        ("method=hma method.hma.real.size=0", "method.hma.real.momentum=0.5 method.hma.real.store=vectors"),
        ("method=hma method.hma.synthetic.slots=0", "method.hma.synthetic.init=zeros"),
        ("method=hma method.hma.batch_attention=false", "method.hma.train_context=alone method.hma.support_size=7"),
        ("method=full trainer.max_steps=49", "trainer.compile=true"),
    ],
)
def test_what_is_never_read_is_the_same_run(base: str, unread: str) -> None:
    assert fingerprint(of(f"{base} {unread}")) == fingerprint(of(base))


def test_what_was_given_in_vain_is_told() -> None:
    given = ["seed", "method", "optimizer", "optimizer.lr", "method.hma.real.size", "method.options.k"]
    assert unread(of("method=head seed=3 optimizer.lr=0.5 method.hma.real.size=64"), given) == ["method.hma.real.size"]
    assert unread(of("method=knn seed=3 optimizer.lr=0.5 method.options.k=[3]"), given) == ["optimizer.lr"]
    (compiled,) = unread(of("method=full trainer=gpu trainer.max_steps=49"), [])
    assert compiled.startswith("trainer.compile (fewer than 50 steps")
    assert not unread(of("method=full trainer=gpu trainer.max_steps=50"), ["trainer.compile"])


@pytest.mark.parametrize(
    "override",
    [
        *("seed=1", "augment.image_size=256", "augment.eval_crop_ratio=0.5", "trainer.precision=bf16", "model=vit_b16"),
        *("trainer.eval_batch_size=7", "dataset.split_seed=1", "method.options.k=[3]", "dataset.test_corruption=blur"),
    ],
)
def test_what_neighbours_do_read(override: str) -> None:
    assert fingerprint(composed("method=knn", override)) != fingerprint(of("method=knn"))


def test_every_rule_names_settings() -> None:
    config = composed()
    for rule in RULES:
        for key in rule.keys:
            assert OmegaConf.select(OmegaConf.structured(config), key, default="missing") != "missing", key
    assert of("method=knn").method.reads == []
    assert of("method=hma").method.reads == list(Reads)


def test_identity_needs_no_torch(repository: Path) -> None:
    """`--cfg job` and the plan of a sweep would take seconds."""
    code = "import sys, hma_ft.config; sys.exit('torch' in sys.modules or 'timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=repository, check=False).returncode == 0


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
