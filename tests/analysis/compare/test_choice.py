"""Which runs are compared, in which groups, at which setting, and when not at all."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.compare.__main__ import main
from analysis.compare.records.archive import write_archive
from analysis.compare.records.directories import load_directories
from analysis.compare.records.run import Sweep
from analysis.compare.select import Selection, find_sweep, select
from hma_ft.errors import UserError
from hma_ft.launch.sweep import Trial, define_sweep
from tests.analysis.compare.conftest import WriteRun


def compare(tmp_path: Path, *options: str) -> dict[str, Any]:
    """The JSON of a comparison of tmp_path/runs, which must succeed."""
    folders = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    assert main([*folders, "--no-figures", *options]) == 0
    return json.loads((tmp_path / "out" / "comparison.json").read_text())


def refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The one line of a comparison that is refused with exit code 2."""
    capsys.readouterr()
    assert main(["--runs", str(tmp_path / "runs"), *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("error: ") and printed.err.count("\n") == 1
    return printed.err


def summary(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Rows of the headline table by group."""
    return {row["group"]: row for row in found["tables"]["summary"]["rows"]}


def test_rate_is_chosen_on_val_and_never_on_test(tmp_path: Path, write_run: WriteRun) -> None:
    grid = {0.001: (0.60, 10), 0.01: (0.80, 20), 0.1: (0.70, 39)}  # the best test figure is at 0.1
    for lr, (val, right) in grid.items():
        for seed in (0, 1):
            write_run("head", seed=seed, right=right + seed, val=val + 0.01 * seed, settings={"optimizer.lr": lr})
    row = summary(compare(tmp_path))["head"]
    assert row["chosen"] == {"optimizer.lr": "0.01"} and not row["at_edge"]
    assert row["mean"] == pytest.approx((20 / 40 + 21 / 40) / 2) and row["val_mean"] == pytest.approx(0.805)
    printed = (tmp_path / "out" / "comparison.md").read_text()
    assert "97.50" not in printed, "the test figure of a setting that val did not choose"
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [r["val_mean"] for r in found["tables"]["grid"]["rows"]] == pytest.approx([0.605, 0.805, 0.705])


def test_a_table_that_is_too_wide_for_a_terminal_is_in_the_files(
    tmp_path: Path, write_run: WriteRun, capsys: pytest.CaptureFixture[str]
) -> None:
    for size in range(20):
        write_run("hma", seed=0, right=20, settings={"method.hma.real.size": 2**size})
    compare(tmp_path, "--by", "method,method.hma.real.size")
    assert "What differs between the runs: 21 columns, in the files of --out" in capsys.readouterr().out
    assert "What differs between the runs" in (tmp_path / "out" / "comparison.md").read_text()


def test_choice_at_the_end_of_the_grid_is_said(tmp_path: Path, write_run: WriteRun) -> None:
    for lr, val in ((0.001, 0.6), (0.01, 0.8), (0.1, 0.9)):
        write_run("head", seed=0, right=20, val=val, settings={"optimizer.lr": lr})
    found = compare(tmp_path)
    assert summary(found)["head"]["at_edge"]
    assert any("val chose optimizer.lr=0.1, the largest of 3 values" in line for line in found["notes"])


def test_what_a_method_chose_at_the_end_of_its_own_list_is_said(tmp_path: Path, write_run: WriteRun) -> None:
    lists = {"k": [1, 5, 200], "temperature": [0.01, 0.07, 1.0]}
    for seed, k in enumerate((200, 5, 200, 1)):  # 1 is no end that a list could pass
        result = write_run("knn", seed=seed, right=20, settings={"method.options": lists}) / "result.json"
        result.write_text(json.dumps(json.loads(result.read_text()) | {"chosen/k": k, "chosen/temperature": 0.07}))
    (note,) = (line for line in compare(tmp_path)["notes"] if "may lie beyond" in line)
    assert note.startswith("knn on digits: val chose method.options.k=200, the largest of 3 values, in 2 of 4 runs; ")


def test_without_a_val_nothing_is_chosen(
    tmp_path: Path, write_run: WriteRun, capsys: pytest.CaptureFixture[str]
) -> None:
    for lr, right in ((0.001, 10), (0.1, 30)):
        write_run("head", seed=0, right=right, val=float("nan"), settings={"optimizer.lr": lr})
    assert "there is no val top-1 to choose by, as these runs trained on val" in refusal(tmp_path, capsys)
    assert summary(compare(tmp_path, "--where", "optimizer.lr=0.1"))["head"]["mean"] == pytest.approx(30 / 40)


def test_a_data_set_without_groups_has_none_to_lack(tmp_path: Path, write_run: WriteRun) -> None:
    for method, right in (("head", 20), ("knn", 30)):
        for seed in range(3):
            write_run(method, seed=seed, right=right + seed, settings={"dataset.options": {"group": None}})
    found = compare(tmp_path, "--baseline", "head")
    assert not any("older records lack" in line for line in found["notes"])


def test_choice_is_made_on_the_common_seeds(tmp_path: Path, write_run: WriteRun) -> None:
    """0.01 wins on seed 0, which both have; its unlucky seed 1 must not count against it."""
    write_run("head", seed=0, right=20, val=0.70, settings={"optimizer.lr": 0.1})
    write_run("head", seed=0, right=20, val=0.80, settings={"optimizer.lr": 0.01})
    write_run("head", seed=1, right=20, val=0.10, settings={"optimizer.lr": 0.01})
    found = compare(tmp_path)
    assert summary(found)["head"]["chosen"] == {"optimizer.lr": "0.01"}
    assert any("other seeds at some settings" in line for line in found["notes"])


def test_groups_by_any_setting(tmp_path: Path, write_run: WriteRun) -> None:
    for size in (128, 1024):
        write_run("hma", seed=0, right=size // 64, settings={"method.hma.real.size": size})
    found = compare(tmp_path, "--by", "method,method.hma.real.size", "--baseline", "hma real.size=128")
    assert found["groups"] == ["hma real.size=128", "hma real.size=1024"]
    (row,) = found["tables"]["paired"]["rows"]
    assert row["difference"] == pytest.approx((16 - 2) / 40)


@pytest.mark.parametrize(
    ("condition", "methods"),
    [
        (["--where", "optimizer.lr=1e-1"], ["full"]),
        (["--where", "lr=0.1,0.01"], ["full", "head"]),
        (["--method", "head", "full", "--where", "seed=0"], ["full", "head"]),
        (["--dataset", "dtd"], ["knn"]),
    ],
)
def test_selection(tmp_path: Path, write_run: WriteRun, condition: list[str], methods: list[str]) -> None:
    write_run("head", seed=0, right=20)
    write_run("full", seed=0, right=30, settings={"optimizer.lr": 0.1})
    write_run("knn", seed=0, right=10, dataset="dtd", settings={"optimizer.lr": 0.5})
    assert compare(tmp_path, *condition)["groups"] == methods


def test_sweep_selects_its_trials(tmp_path: Path, write_run: WriteRun) -> None:
    inside = write_run("head", seed=0, right=20)
    write_run("full", seed=0, right=20)
    key = json.loads((inside / "status.json").read_text())["fingerprint"][:12]
    define_sweep(str(tmp_path / "runs"), "two", [Trial(key, "a", str(inside)), Trial("f" * 12, "b", "b")]).save()
    found = compare(tmp_path, "--sweep", "two")
    assert found["groups"] == ["head"]
    assert any("1 of 2 trials are not finished" in line for line in found["notes"])


def test_same_run_in_two_folders_counts_once(tmp_path: Path, write_run: WriteRun) -> None:
    write_run("head", seed=0, right=20)
    write_run("head", seed=0, right=30, folder="copy")
    records = load_directories([tmp_path / "runs", tmp_path / "copy"])
    runs, notes = select(records, Selection())
    assert list(runs["test/top1"]) == [0.5] and "more than once" in notes[0]


def test_an_archived_sweep_keeps_its_own_runs(tmp_path: Path, write_run: WriteRun) -> None:
    """Two sweeps may share a run and come from different commits."""
    for name, right in (("early", 10), ("late", 30)):
        directory = write_run("head", seed=0, right=right, folder=name)
        key = json.loads((directory / "status.json").read_text())["fingerprint"][:12]
        define_sweep(str(tmp_path / name), name, [Trial(key, "a", str(directory))]).save()
        records = load_directories([tmp_path / name])
        write_archive(
            list(select(records, Selection([name]))[0]["run"]), find_sweep(records, name), tmp_path / "archives"
        )
    for folders in (["archives"], ["late", "archives"]):
        records = load_directories([tmp_path / folder for folder in folders])
        for name, share in (("early", 0.25), ("late", 0.75)):
            runs, notes = select(records, Selection([name]))
            assert list(runs["test/top1"]) == [share] and not notes


def test_sweeps_of_two_data_sets_are_compared_though_their_commits_differ(tmp_path: Path, write_run: WriteRun) -> None:
    """Differences are taken on each data set by itself."""
    for dataset, commit in (("digits", "c" * 40), ("dtd", "d" * 40)):
        directories = [
            write_run(method, seed=0, right=right, dataset=dataset, env={"git": {"commit": commit, "diff": ""}})
            for method, right in (("head", 10), ("full", 20))
        ]
        keys = [json.loads((path / "status.json").read_text())["fingerprint"][:12] for path in directories]
        trials = [Trial(key, key, str(path)) for key, path in zip(keys, directories, strict=True)]
        define_sweep(str(tmp_path / "runs"), f"of_{dataset}", trials).save()
    found = compare(tmp_path, "--sweep", "of_digits", "of_dtd", "--baseline", "head")
    assert any("the commit differs" in line for line in found["notes"])
    assert {row["group"]: row["rank"] for row in found["tables"]["aggregate"]["rows"]} == {"head": 2.0, "full": 1.0}
    assert compare(tmp_path, "--sweep", "of_dtd")["groups"] == ["full", "head"]


@pytest.mark.parametrize(
    ("change", "sign"),
    [
        ({"data": {"test_digest": "other"}}, "the test split on digits is not the same: test-digits"),
        ({"data": {"val_digest": "other"}}, "the val split on digits is not the same"),
        (
            {"data": {"test_content": "0123456789abcdef" * 2}},
            "the test split (its images, under equal names) on digits is not the same: 0123456789abcdef",
        ),
        ({"settings": {"trainer.max_steps": 500}}, "trainer.max_steps on digits is not the same: 500"),
        ({"settings": {"model.name": "vit_tiny"}}, "model.name on digits is not the same"),
        ({"settings": {"augment.mixup_alpha": 0.2}}, "augment.mixup_alpha on digits is not the same"),
        ({"settings": {"dataset.split_seed": 3}}, "dataset.split_seed on digits is not the same"),
        ({"env": {"weights_sha256": "9" * 64}}, "model.weights on digits is not the same: sha256 999999999999"),
        ({"env": {"git": {"commit": "d" * 40, "diff": ""}}}, "the commit on digits is not the same: dddddddddddd"),
        (
            {"env": {"git": {"commit": "c" * 40, "diff": "+1"}}},
            "the commit on digits is not the same: cccccccccccc with changes",
        ),
    ],
)
def test_refuses_what_should_be_equal(
    tmp_path: Path, write_run: WriteRun, capsys: pytest.CaptureFixture[str], change: dict[str, Any], sign: str
) -> None:
    write_run("head", seed=0, right=20, data={"test_content": "content"})
    write_run("full", seed=0, right=20, **({"data": {"test_content": "content"}} | change))
    line = refusal(tmp_path, capsys)
    assert sign.split(":")[0] in line and sign.split(": ")[-1] in line and "--force" in line
    notes = compare(tmp_path, "--force")["notes"]
    assert any(text.startswith("NOT COMPARABLE (--force)") and sign.split(":")[0] in text for text in notes)
    if "settings" in change:  # what is compared on purpose may differ
        (key,) = change["settings"]
        assert compare(tmp_path, "--by", f"method,{key}")["groups"]


RECIPES = ({"batch_size": 128, "max_steps": 1000}, {"batch_size": 64, "max_steps": 1600})


def recipe_and_trainer(recipe: dict[str, int], **chosen: int) -> dict[str, Any]:
    """Settings of a run whose trainer takes the recipe's, except what is chosen apart from it."""
    settings: dict[str, Any] = {f"method.recipe.{name}": value for name, value in recipe.items()}
    return settings | {f"trainer.{name}": value for name, value in (recipe | chosen).items()}


@pytest.mark.parametrize(
    ("head", "full", "line"),
    [
        ({}, {}, None),  # each method as its recipe has it
        ({"batch_size": 64}, {}, None),  # chosen, and equal
        ({"batch_size": 32}, {"batch_size": 32}, None),
        ({"batch_size": 32}, {}, "trainer.batch_size on digits is not the same: 64 (1 runs, such as full-seed0"),
        ({}, {"max_steps": 100}, "trainer.max_steps on digits is not the same: 100 (1 runs, such as full-seed0"),
    ],
)
def test_batch_and_steps_of_a_recipe_are_part_of_the_method(
    tmp_path: Path,
    write_run: WriteRun,
    capsys: pytest.CaptureFixture[str],
    head: dict[str, int],
    full: dict[str, int],
    line: str | None,
) -> None:
    write_run("head", seed=0, right=20, settings=recipe_and_trainer(RECIPES[0], **head))
    write_run("full", seed=0, right=20, settings=recipe_and_trainer(RECIPES[1], **full))
    if line is None:
        assert compare(tmp_path)["groups"] == ["full", "head"]
    else:
        assert line in refusal(tmp_path, capsys)


def test_an_archive_of_the_same_runs_stays_to_the_byte(tmp_path: Path, write_run: WriteRun) -> None:
    for seed in (0, 1):
        write_run("head", seed=seed, right=20)
    runs = load_directories([tmp_path / "runs"]).runs
    archived = Sweep("two", "two-0123", frozenset(run.fingerprint for run in runs), trials=2)
    path = write_archive(runs, archived, tmp_path)
    with np.load(path) as file:
        np.savez(path, allow_pickle=False, **dict(file))  # as another machine compresses it: here not at all
    before = path.read_bytes()
    assert write_archive(runs, archived, tmp_path).read_bytes() == before
    assert write_archive(runs[:1], archived, tmp_path).read_bytes() != before


def test_archives_keep_the_recipe(tmp_path: Path, write_run: WriteRun) -> None:
    keys = []
    for method, recipe in zip(("head", "full"), RECIPES, strict=True):
        directory = write_run(method, seed=0, right=20, settings=recipe_and_trainer(recipe))
        keys.append(json.loads((directory / "status.json").read_text())["fingerprint"][:12])
    define_sweep(str(tmp_path / "runs"), "two", [Trial(key, key, key) for key in keys]).save()
    records = load_directories([tmp_path / "runs"])
    write_archive(records.runs, find_sweep(records, "two"), tmp_path / "archives")
    assert main(["--runs", str(tmp_path / "archives"), "--sweep", "two"]) == 0


def test_the_same_images_under_other_names_are_comparable(tmp_path: Path, write_run: WriteRun) -> None:
    contents = {f"{split}_content": split for split in ("train", "val", "test")}
    write_run("head", seed=0, right=20, data=contents)
    write_run("full", seed=0, right=20, data=contents | {"test_digest": "other names"})
    assert set(compare(tmp_path)["groups"]) == {"head", "full"}


def test_steps_of_a_method_without_any_do_not_matter(tmp_path: Path, write_run: WriteRun) -> None:
    write_run("head", seed=0, right=20)
    write_run("knn", seed=0, right=20, settings={"trainer.max_steps": 500, "optimizer.lr": 7.0})
    found = compare(tmp_path)
    assert summary(found)["knn"]["chosen"] == {} and found["tables"]["cost"]["rows"][1]["trainable"] == 0


def test_weights_are_what_the_file_holds_wherever_it_lies(tmp_path: Path, write_run: WriteRun) -> None:
    for seed, method, path in ((0, "head", "a.pth"), (1, "head", "b.pth"), (0, "full", "c.pth")):
        env = {"weights_sha256": "9" * 64}
        write_run(method, seed=seed, right=20, settings={"model.weights": f"{tmp_path}/{path}"}, env=env)
    found = compare(tmp_path)
    assert found["groups"] == ["full", "head"]
    assert "model.weights" not in {row["setting"] for row in found["tables"]["differences"]["rows"]}


def test_refuses_to_average_different_things(
    tmp_path: Path, write_run: WriteRun, capsys: pytest.CaptureFixture[str]
) -> None:
    for size in (128, 512):
        write_run("hma", seed=0, right=20, settings={"method.hma.real.size": size})
    line = refusal(tmp_path, capsys)
    assert "group hma on digits mixes method.hma.real.size=128, 512 (group with --by" in line


@pytest.mark.parametrize(
    ("options", "sign"),
    [
        (["--where", "optimizer.ls=1"], "did you mean optimizer.lr"),
        (["--where", "optimizer.lr"], "write KEY=VALUE"),
        (["--where", "optimizer.lr=3"], "no run with optimizer.lr=3: the values are 0.01"),
        (["--by", "real.size"], "did you mean method.hma.real.size"),
        (["--baseline", "hdma"], "choose one of full; head"),
        (["--sweep", "none"], "no sweep none"),
        (["--inference", "batch"], "no run was evaluated with --inference batch"),
        (["--method", "hma"], "no run with method.name=hma: the values are full, head"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, write_run: WriteRun, capsys: pytest.CaptureFixture[str], options: list[str], sign: str
) -> None:
    write_run("head", seed=0, right=20)
    write_run("full", seed=0, right=20)
    assert sign in refusal(tmp_path, capsys, *options)


def test_folders_without_runs_and_damaged_records(
    tmp_path: Path, write_run: WriteRun, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is not a directory" in refusal(tmp_path, capsys)
    directory = write_run("head", seed=0, right=20, state="running")
    assert "1 are not finished" in refusal(tmp_path, capsys)
    write_run("full", seed=0, right=20)
    assert any("1 runs are left out" in line for line in compare(tmp_path)["notes"])
    directory = write_run("head", seed=1, right=20)
    (directory / "result.json").write_text("{")
    assert "can't be read" in refusal(tmp_path, capsys)


def test_damaged_predictions_are_named(tmp_path: Path, write_run: WriteRun) -> None:
    directory = write_run("head", seed=0, right=20)
    (directory / "predictions.npz").write_bytes((directory / "predictions.npz").read_bytes()[:100])
    (run,) = load_directories([tmp_path / "runs"]).runs
    with pytest.raises(UserError, match=r"predictions\.npz can't be read"):
        run.read_predictions("")


def test_splits_drawn_by_the_seed_are_compared_within_the_seed(
    write_run: WriteRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (1, 2):
        for method in ("head", "hma"):
            drawn = {"settings": {"dataset.split_seed": seed}, "data": {"train_digest": f"drawn-{seed}"}}
            write_run(method, seed=seed, right=30, **drawn)
    assert not any("NOT COMPARABLE" in text for text in compare(tmp_path)["notes"])
    odd = {"settings": {"dataset.split_seed": 2}, "data": {"train_digest": "other"}}
    write_run("full", seed=2, right=30, **odd)
    assert "the train split of seed 2 on digits is not the same" in refusal(tmp_path, capsys)
