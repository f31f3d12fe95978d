"""A run from its command to its record, as a user starts it."""

import csv
import hashlib
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import yaml
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, top_k_accuracy_score

from hma_ft.engine.checkpoint import load_newest

pytestmark = pytest.mark.slow

RunPy = Callable[..., subprocess.CompletedProcess[str]]
TRAINED = (
    "full",
    "head",
    "head_cls",
    "tokens_prop",
    "tokens_standard",
    "hma",
    "hma_head",
    "hma_head_cls",
    "mlp_head",
    "hma_head_label",
    "head_knn_tuned",
    "cache",
)
METRIC = re.compile(r"\b\d+\.(?:\d{4}|\d\d)(?= )")  # of the table of results
FITTED = ("knn", "ncm", "ridge", "lda", "ranpac", "kernel_ridge", "logreg")


def only_run(folder: Path, runs: str = "runs") -> Path:
    (directory,) = (folder / runs / "digits").iterdir()
    return directory


def result(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "result.json").read_text())


def probabilities(directory: Path) -> np.ndarray:
    with np.load(directory / "predictions.npz") as predictions:
        return predictions["probabilities"]


def test_the_record_is_whole_and_says_the_same_everywhere(run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    done = run_py(*tiny, "method=hma", "trainer.max_steps=40", "seed=7")
    assert done.returncode == 0, done.stderr
    directory = only_run(tmp_path)
    files = {path.name for path in directory.iterdir()}
    assert files >= {
        *("config.yaml", "status.json", "metrics.jsonl", "result.json", "predictions.npz", "per_class.csv"),
        *("confusion.png", "risk_coverage.png", "curves.png", "val_predictions.npz"),
        *("env.json", "data.json", "checkpoints"),
    }
    figures = result(directory)
    for split in ("val", "test", "test_batch", "test_support"):
        assert 0 <= figures[f"{split}/top1"] <= figures[f"{split}/top5"] <= 1
    for key in ("params/trainable", "params/total", "time/train_s", "time/images_per_s", "memory/peak_bytes"):
        assert figures[key] > 0
    with np.load(directory / "predictions.npz") as stored:
        labels, own = stored["labels"], stored["probabilities"].astype(np.float64)
        assert len(set(stored["keys"].tolist())) == len(labels)  # each test image has a name of its own
    assert figures["test/top1"] == pytest.approx(accuracy_score(labels, own.argmax(1)))
    assert figures["test/top5"] == pytest.approx(top_k_accuracy_score(labels, own, k=5))
    assert figures["test/nll"] == pytest.approx(log_loss(labels, own / own.sum(1, keepdims=True)), abs=1e-5)
    wrong = (own.argmax(1) != labels)[np.argsort(-own.max(1), kind="stable")]
    assert figures["test/aurc"] == pytest.approx((wrong.cumsum() / np.arange(1, len(wrong) + 1)).mean(), abs=1e-3)
    correct = confusion_matrix(labels, own.argmax(1)).diagonal()
    rows = list(csv.DictReader((directory / "per_class.csv").open()))
    assert [int(row["correct"]) for row in rows] == correct.tolist()
    assert yaml.safe_load((directory / "config.yaml").read_text())["seed"] == 7
    assert json.loads((directory / "status.json").read_text())["state"] == "finished"
    metrics = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in metrics if "val/top1" in row] == [20, 40]
    best = max(row["val/top1"] for row in metrics if "val/top1" in row)
    assert figures["val/top1"] == pytest.approx(best)


def test_the_record_knows_the_contents_of_a_weights_file(run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    micro = {"img_size": 16, "patch_size": 4, "embed_dim": 96, "depth": 4, "num_heads": 4}  # conf/model/vit_micro.yaml
    path = tmp_path / "own.pth"
    torch.save(timm.create_model("vit_tiny_patch16_224", **micro).state_dict(), path)
    done = run_py(*tiny, "method=head", "trainer.max_steps=2", "model.pretrained=true", f"model.weights={path}")
    assert done.returncode == 0, done.stderr
    recorded = json.loads((only_run(tmp_path) / "env.json").read_text())
    assert recorded["weights_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


LEARNING = ["trainer.batch_size=16", "trainer.max_steps=60", "trainer.eval_every=20"]


def val_losses(directory: Path) -> list[float]:
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [row["val/nll"] for row in rows if "val/nll" in row]


@pytest.mark.parametrize("method", TRAINED)
def test_every_method_learns(method: str, run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    """Also on random features of a frozen backbone."""
    done = run_py(*tiny, f"method={method}", *LEARNING)
    assert done.returncode == 0, done.stderr
    losses = val_losses(only_run(tmp_path))
    assert len(losses) == 3
    assert losses[2] < losses[0] - (0.005 if method == "head_knn_tuned" else 0.01)
    assert 0 < result(only_run(tmp_path))["params/trainable"] <= result(only_run(tmp_path))["params/total"]


@pytest.mark.parametrize("method", FITTED)
def test_fitted_heads_need_no_training(method: str, run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    """Even random features tell digits apart better than chance, 0.1."""
    options = ["method.options.width=500"] if method == "ranpac" else []
    done = run_py(*tiny, f"method={method}", *options)
    assert done.returncode == 0, done.stderr
    figures = result(only_run(tmp_path))
    assert figures["params/trainable"] == 0
    assert figures["test/top1"] > (0.2 if method == "ncm" else 0.3)
    status = json.loads((only_run(tmp_path) / "status.json").read_text())
    assert (status["state"], status["step"], status["max_steps"]) == ("finished", 0, 0)
    chosen = {
        "knn": {"k", "temperature"},
        "ridge": {"ridge"},
        "ranpac": {"ridge"},
        "logreg": {"C"},
        "kernel_ridge": {"ridge"},
    }.get(method, set())
    assert {key.removeprefix("chosen/") for key in figures if key.startswith("chosen/")} == chosen
    again = run_py("task=evaluate", f"run={only_run(tmp_path)}", "trainer.num_workers=0")
    assert again.returncode == 0, again.stdout + again.stderr


def test_the_demo_recognises_digits_and_prints_what_readme_shows(
    run_py: RunPy, repository: Path, tmp_path: Path
) -> None:
    done = run_py("experiment=demo", "tracking=off")
    assert done.returncode == 0, done.stderr
    assert result(only_run(tmp_path))["test/top1"] >= 0.95
    shown = (repository / "README.md").read_text().split("```\n")[1].splitlines()
    assert len(shown) == 5
    printed = {METRIC.sub("", line): line for line in done.stdout.splitlines()}
    for line in shown:
        same = printed[METRIC.sub("", line)]  # but for metrics, which other machines round otherwise
        for number, expected in zip(METRIC.findall(line), METRIC.findall(same), strict=True):
            assert float(number) == pytest.approx(float(expected), abs=1.5 if number[-3] == "." else 0.05)


def test_a_finished_run_is_reported_and_fresh_starts_over(run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    command = [*tiny, "method=head", "trainer.max_steps=10"]
    first = run_py(*command)
    assert first.returncode == 0, first.stderr
    directory = only_run(tmp_path)
    written = (directory / "result.json").stat().st_mtime_ns
    again = run_py(*command, "trainer.log_every=3")  # which changes no result
    assert "This run is finished" in again.stdout
    assert (directory / "result.json").stat().st_mtime_ns == written
    before = probabilities(directory)
    fresh = run_py(*command, "fresh=true")
    assert fresh.returncode == 0, fresh.stderr
    assert (directory / "result.json").stat().st_mtime_ns > written
    assert np.array_equal(probabilities(directory), before)


@pytest.mark.parametrize("method", ["hma", "hma_head"])
def test_a_bank_holds_the_training_images_throughout(
    method: str, run_py: RunPy, tiny: list[str], tmp_path: Path
) -> None:
    bank = [f"method.hma.real.{setting}" for setting in ("start=train", "update=false", "size=64")]
    done = run_py(*tiny, f"method={method}", "dataset.train_per_class=6", "trainer.max_steps=10", *bank)
    assert done.returncode == 0, done.stderr
    best = load_newest(only_run(tmp_path) / "checkpoints", kind="best")
    assert best is not None
    memory = {name: best["method"][f"head.real_memory.{name}"] for name in ("ids", "labels", "filled")}
    assert memory["ids"][:60, 0].tolist() == list(range(60))
    assert memory["labels"][:60].bincount().tolist() == [6] * 10
    assert memory["filled"].tolist() == [True] * 60 + [False] * 4


def test_a_class_that_came_later_is_named_by_neighbours_and_never_by_a_linear_head(
    run_py: RunPy, tiny: list[str], tmp_path: Path
) -> None:
    named, top1 = {}, {}
    for name, options in {
        "all classes": ["method=head"],  # its stored views are not those of the runs without three classes
        "head": ["method=head", "dataset.held_out_classes=3"],
        "unstored": ["method=head", "dataset.held_out_classes=3", "trainer.cache_features=false"],
        "knn": ["method=knn", "dataset.held_out_classes=3"],
        "ridge": ["method=ridge", "dataset.held_out_classes=3"],
        "logreg": ["method=logreg", "method.options.C=[0.1]", "dataset.held_out_classes=3"],
    }.items():
        done = run_py(*tiny, "trainer.max_steps=100", "optimizer.lr=0.03", "fresh=true", *options)
        assert done.returncode == 0, done.stderr
        directory = max((tmp_path / "runs/digits").iterdir(), key=lambda run: (run / "result.json").stat().st_mtime_ns)
        named[name], top1[name] = probabilities(directory).argmax(1), result(directory)["test/top1"]
        if name != "all classes":
            assert result(directory)["data/taught"] < result(directory)["data/train"]
    assert len(np.unique(named["knn"])) == len(np.unique(named["ridge"])) == 10
    assert len(np.unique(named["all classes"])) > 7 and top1["ridge"] > top1["logreg"]
    assert len(np.unique(named["head"])) <= 7 and len(np.unique(named["logreg"])) <= 7
    assert np.array_equal(named["head"], named["unstored"])
    assert top1["head"] < 0.75


def test_a_cache_keeps_keys_of_classes_that_came_later(run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    done = run_py(*tiny, "method=cache", "dataset.held_out_classes=3", "trainer.max_steps=5")
    assert done.returncode == 0, done.stderr
    support = load_newest(only_run(tmp_path) / "checkpoints", kind="support")
    assert support is not None
    assert sorted(support["method"]["bank.labels"].bincount().tolist())[-3:] == [16, 16, 16]
    assert len(support["method"]["bank.labels"]) == 3 * 16


@pytest.mark.parametrize(
    ("method", "augment"), [("hma", "augment=mixup"), ("hma_head", "augment=mixup"), ("hma_head", "augment.views=2")]
)
def test_workers_and_stored_features_change_no_bit(
    method: str, augment: str, run_py: RunPy, tiny: list[str], tmp_path: Path
) -> None:
    ways = (
        ["trainer.num_workers=0", "trainer.cache_features=false"],
        ["trainer.num_workers=1"],
        ["trainer.num_workers=2", "fresh=true"],  # the frozen backbone's features are read from the store now
    )
    outcomes = []
    for number, way in enumerate(ways):
        runs = f"runs_dir=runs{min(number, 1)}"
        done = run_py(*tiny, f"method={method}", augment, "trainer.max_steps=25", *way, runs)
        assert done.returncode == 0, done.stderr
        outcomes.append(probabilities(only_run(tmp_path, f"runs{min(number, 1)}")))
    assert np.array_equal(outcomes[0], outcomes[1])
    assert np.array_equal(outcomes[0], outcomes[2])


ACCUMULATION = ["trainer.grad_accumulation=2", "method.hma.train_context=alone"]


@pytest.mark.parametrize(
    "options",
    [
        ["trainer.precision=bf16", "trainer.compile=true", "trainer.channels_last=true"],
        [*ACCUMULATION, "trainer.clip_grad_norm=1.0", "trainer.ema_decay=0.9"],
        ["trainer.grad_checkpointing=true", "optimizer.layer_decay=0.75", "scheduler=constant"],
    ],
    ids=lambda options: options[0].removeprefix("trainer."),
)
def test_options_of_the_loop(options: list[str], run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    done = run_py(*tiny, "method=hma", *LEARNING, *options)
    assert done.returncode == 0, done.stderr
    losses = val_losses(only_run(tmp_path))
    assert losses[2] < losses[0] - 0.01


def test_a_loss_that_is_not_finite_names_step_and_samples(run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    done = run_py(*tiny, "method=full", "optimizer=sgd", "optimizer.lr=1e30", "trainer.max_steps=20")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "the loss of step" in line
    assert re.search(r"ids of the batch's training samples: (\d+, ){8}\.\.\. \(\d+\)$", line)
    assert json.loads((only_run(tmp_path) / "status.json").read_text())["state"] == "failed"


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_what_needs_a_gpu(run_py: RunPy, tiny: list[str]) -> None:
    """`trainer=gpu` asks for one."""
    arguments = [item for item in tiny if not item.startswith("trainer.device=")]
    done = run_py(*arguments, "method=head", "trainer=gpu", "trainer.max_steps=5")
    assert done.returncode == 2
    assert "error: trainer.device=cuda, but torch sees no GPU" in done.stderr


def test_a_head_starts_at_a_regression(run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    """LP-FT: after a step that moves nothing the whole model is the regression, its average of weights too."""
    still = ["trainer.max_steps=1", "optimizer.lr=1e-12", "trainer.ema_decay=0.9", "scheduler.warmup_steps=0"]
    for method in (["full", "method.head_init=ridge", *still], ["ridge"]):
        done = run_py(*tiny, f"method={method[0]}", *method[1:], "runs_dir=" + method[0])
        assert done.returncode == 0, done.stderr
    started, fitted = (probabilities(only_run(tmp_path, name)) for name in ("full", "ridge"))
    np.testing.assert_allclose(started, fitted, atol=1e-4)


def test_val_is_not_asked_once_it_was_learned_from(run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    found = {}
    for refit in ("train", "train_and_val"):
        options = ["method=logreg", "method.options.C=[0.001,0.1]", f"method.options.refit={refit}"]
        assert run_py(*tiny, *options, f"runs_dir={refit}").returncode == 0
        found[refit] = result(only_run(tmp_path, refit))
    val = [key for key in found["train"] if key.startswith("val/")]
    assert val and all(found["train"][key] == found["train_and_val"][key] for key in val)
    assert found["train"]["test/nll"] != found["train_and_val"]["test/nll"]
    again = run_py("task=evaluate", f"run={only_run(tmp_path, 'train_and_val')}", "trainer.num_workers=0")
    assert again.returncode == 0, again.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["method=lda", "dataset.train_per_class=1"], "do not vary within their class"),
        (["method=ridge", "method.options.k=5"], "unknown setting method.options.k; method.options has ridge"),
        (["method=ridge", "+method.options.k=5"], "unknown setting method.options.k; method.options has ridge"),
        (["method=ranpac", "method.options.width=0"], "method.options.width=0 must be a whole number from 1"),
        (["method=hma", "method.head_init=ridge"], "method.head_init=ridge: method=hma has no linear head"),
        (["method=logreg", "method.class_token=true"], "method.name=logreg has no head that trains by steps"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_head_that_can_not_be_fitted_is_one_line(
    arguments: list[str], message: str, run_py: RunPy, tiny: list[str]
) -> None:
    done = run_py(*tiny, *arguments)
    assert done.returncode == 2
    assert message in done.stderr and done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr
