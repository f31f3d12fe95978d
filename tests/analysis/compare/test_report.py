"""The figures of a comparison against numbers worked out by hand, in every output."""

import csv
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.compare.__main__ import main
from analysis.compare.records.archive import write_archive
from analysis.compare.records.directories import load_directories
from analysis.compare.select import Selection, find_sweep, select
from hma_ft.launch.sweep import Trial, define_sweep
from tests.analysis.compare.conftest import IMAGES, WriteRun


@pytest.fixture
def runs(write_run: WriteRun, tmp_path: Path) -> Path:
    """head, full and hma over seeds 0 to 2; hma in three inference modes."""
    for seed in range(3):
        write_run("head", seed=seed, right=10 + seed)
        write_run("full", seed=seed, right=30 + 2 * seed)
        write_run("hma", seed=seed, right=20 + seed, modes={"batch": 30 + seed, "support": 25})
    return tmp_path / "runs"


def compare(runs: Path, *options: str) -> dict[str, Any]:
    out = runs.parent / "out"
    assert main(["--runs", str(runs), "--baseline", "head", "--out", str(out), "--no-figures", *options]) == 0
    return json.loads((out / "comparison.json").read_text())


def rows(found: dict[str, Any], table: str) -> dict[str, dict[str, Any]]:
    return {row["group"]: row for row in found["tables"][table]["rows"]}


def test_summary_by_hand(runs: Path) -> None:
    row = rows(compare(runs), "summary")["full"]
    assert row["n"] == 3 and row["seeds"] == ["0", "1", "2"]
    assert row["mean"] == pytest.approx(32 / 40) and row["sd"] == pytest.approx(2 / 40)
    half = 4.302652729911275 * (2 / 40) / 3**0.5  # t of 97.5 % with 2 degrees of freedom
    assert (row["t_low"], row["t_high"]) == pytest.approx((0.8 - half, 0.8 + half))
    assert row["bootstrap_low"] >= 30 / 40 and row["bootstrap_high"] <= 34 / 40
    row = rows(compare(runs), "cost")["full"]
    assert (row["trainable"], row["train_s"], row["wall_s"], row["peak_bytes"]) == (454_954, 11.0, 21.0, 2**30)
    assert (row["from_nothing_s"], row["features_s"], row["eval_s"], row["start_s"]) == (116.0, 100.0, 5.0, 3.0)


def as_before_costs_were_apart(directory: Path) -> None:
    result = json.loads((directory / "result.json").read_text())
    for key in ("features_s", "eval_s", "start_s", "from_nothing_s"):
        del result[f"time/{key}"]
    (directory / "result.json").write_text(json.dumps(result))


def test_times_from_before_costs_were_apart_are_not_mixed_in(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("head", seed=0, right=10)
    for seed in range(2):
        directory = write_run("full", seed=seed, right=20)
    as_before_costs_were_apart(directory)
    table = compare(tmp_path / "runs")["tables"]["cost"]
    cells = {line[1]: dict(zip(table["text"]["head"], line, strict=True)) for line in table["text"]["cells"]}
    times = ("from nothing s", "features s", "training s", "evaluation s", "start s", "images/s")
    assert [cells["full"][name] for name in times] == ["-"] * 6  # no mean of one seed of two
    assert [cells["head"][name] for name in times] == ["115.0", "100.0", "10.0", "5.0", "3.0", "100"]
    assert "2 of 3 runs" not in table["note"] and "1 of 3 runs were recorded before costs were apart" in table["note"]


def test_a_record_from_before_costs_were_apart_has_no_times(write_run: WriteRun, tmp_path: Path) -> None:
    """One of two runs had filled the store; their ranking would be that of the order they ran in."""
    for method in ("head", "full"):
        as_before_costs_were_apart(write_run(method, seed=0, right=10))
    found = compare(tmp_path / "runs")
    assert found["tables"]["cost"]["text"]["head"] == [
        *("data set", "group", "trainable", "all parameters", "peak MiB", "device"),
    ]
    assert rows(found, "cost")["full"]["train_s"] is None and rows(found, "cost")["full"]["wall_s"] is None
    assert "2 of 2 runs were recorded before costs were apart" in found["tables"]["cost"]["note"]


def test_pairs_by_hand(runs: Path) -> None:
    found = compare(runs)
    row = rows(found, "paired")["full"]
    assert row["differences"] == pytest.approx({"0": 20 / 40, "1": 21 / 40, "2": 22 / 40})
    assert row["difference"] == pytest.approx(21 / 40) and row["sd"] == pytest.approx(1 / 40)
    assert row["p_sign_flip"] == row["min_attainable_p"] == 0.25 and row["p_sign_flip_holm"] == 0.5
    assert row["p_t"] == pytest.approx(2 * 0.000376, rel=0.01)  # t = 21 sqrt(3) with 2 degrees of freedom
    row = rows(found, "images")["full"]  # images 10 to 33 are recognised by full in more seeds, none by head
    assert (row["better"], row["worse"], row["images"]) == (24, 0, IMAGES)
    assert row["p_mcnemar"] == pytest.approx(2 * 0.5**24) and row["difference"] == pytest.approx(21 / 40)
    row = rows(found, "verdict")["full"]
    assert row["verdict"] == "underpowered (needs 7 seeds)"  # 2 / 2^7 <= 0.05 / 2 < 2 / 2^6
    assert (row["seeds"], row["images"], row["images_apart"]) == (3, IMAGES, 24) and row["seeds_needed"] == 7
    (line,) = [text for text in found["notes"] if "too few for a verdict" in text]
    assert line.startswith("3 seeds are too few for a verdict: that all agree in sign happens by chance with p 0.25 ")
    assert "(0.5 after Holm over 2 comparisons)" in line and "it takes 7 seeds" in line


def test_verdict_by_hand(write_run: WriteRun, tmp_path: Path) -> None:
    """Images 10 to 19 are gained in all eight seeds, image 20 in four: the differences are 10/40 and 11/40."""
    for seed in range(8):
        write_run("head", seed=seed, right=10)
        write_run("full", seed=seed, right=20 + seed % 2)
    row = rows(compare(tmp_path / "runs"), "verdict")["full"]
    matrix = np.zeros((8, IMAGES))
    matrix[:, 10:20], matrix[1::2, 20] = 1.0, 1.0
    of_images, of_seeds = matrix.mean(axis=0), matrix.mean(axis=1)
    rest = ((matrix - of_images - of_seeds[:, None] + matrix.mean()) ** 2).sum() / (7 * 39)
    assert 40 * of_seeds.var(ddof=1) == pytest.approx(rest)  # so that no variance of seeds is left
    se = (8 * of_images.var(ddof=1) / (8 * IMAGES)) ** 0.5
    half = 2.0226909200367604 * se  # t of 97.5 % with 39 degrees of freedom
    assert row["difference"] == pytest.approx(10.5 / 40) and row["se"] == pytest.approx(se, rel=1e-6)
    assert (row["low"], row["high"]) == pytest.approx((10.5 / 40 - half, 10.5 / 40 + half), rel=1e-6)
    assert row["verdict"] == "better" and row["p"] == row["p_holm"] < 0.001


def test_six_seeds_can_decide_and_five_can_not(write_run: WriteRun, tmp_path: Path) -> None:
    for seed in range(6):
        write_run("head", seed=seed, right=10)
        write_run("full", seed=seed, right=20 + seed)
    found = compare(tmp_path / "runs")
    assert rows(found, "paired")["full"]["p_sign_flip"] == 2 / 64
    assert rows(found, "verdict")["full"]["verdict"] == "better" and not found["notes"]
    fewer = compare(tmp_path / "runs", "--where", "seed=0,1,2,3,4")
    assert rows(fewer, "verdict")["full"]["verdict"] == "underpowered (needs 6 seeds)"


def test_seeds_that_agree_on_a_few_images_show_nothing(write_run: WriteRun, tmp_path: Path) -> None:
    """What eight seeds agree on may be five images' doing; of them more are needed, and no seeds."""
    for seed in range(8):
        write_run("head", seed=seed, right=10)
        write_run("full", seed=seed, right=15)
        write_run("hma", seed=seed, right=17 - 8 * (seed % 2))
    found = compare(tmp_path / "runs", "--method", "head", "full")
    assert rows(found, "paired")["full"]["p_sign_flip"] == pytest.approx(2 / 256)
    assert rows(found, "verdict")["full"]["verdict"] == "underpowered (needs 48 test images)"  # 6 / 5 of 40
    assert any("differ on 5 of 40 test images" in line for line in found["notes"])
    found = compare(tmp_path / "runs", "--method", "head", "hma")
    assert rows(found, "verdict")["hma"]["verdict"] == "not significant"


def test_more_seeds_are_not_asked_for_where_images_decide(write_run: WriteRun, tmp_path: Path) -> None:
    """In all seeds alike 16 images are gained and 7 lost."""
    lost, gained = np.arange(IMAGES) < 20, np.arange(IMAGES) < 36
    for seed in range(8):
        write_run("head", seed=seed, right=lost)
        write_run("full", seed=seed, right=gained & (np.arange(IMAGES) >= 7))
    table = compare(tmp_path / "runs")["tables"]["verdict"]
    (row,) = table["rows"]
    assert (row["verdict"], row["seeds_needed"]) == ("not significant", None) and row["images_needed"] > IMAGES
    cells = dict(zip(table["text"]["head"], table["text"]["cells"][0], strict=True))
    assert cells["seeds needed"] == "more images" and cells["images needed"] == f"{row['images_needed']}"


def test_without_predictions_the_verdict_is_over_seeds_and_says_so(write_run: WriteRun, tmp_path: Path) -> None:
    for seed in range(6):
        write_run("head", seed=seed, right=10)
        (write_run("full", seed=seed, right=20) / "predictions.npz").unlink()
    found = compare(tmp_path / "runs")
    row = rows(found, "verdict")["full"]
    assert (row["verdict"], row["basis"], row["p"]) == ("better (seeds only)", "seeds only", 2 / 64)
    assert any("verdicts over seeds only" in line and "full on digits" in line for line in found["notes"])


def test_calibration_is_no_mean_over_images(write_run: WriteRun, tmp_path: Path) -> None:
    for seed in range(6):
        write_run("head", seed=seed, right=10)
        write_run("full", seed=seed, right=20)
    found = compare(tmp_path / "runs", "--metric", "ece")
    assert rows(found, "verdict")["full"]["verdict"] == "not significant (seeds only)"
    assert "ECE is no mean over images: its verdicts are over seeds only" in found["notes"]


def test_test_images_drawn_by_the_seed_are_images_of_that_seed(write_run: WriteRun, tmp_path: Path) -> None:
    """Their places in the split agree, and mean other images."""
    for seed in range(6):
        drawn = {"settings": {"dataset.split_seed": seed}, "data": {"test_digest": f"drawn-{seed}"}}
        write_run("head", seed=seed, right=10, **drawn)
        write_run("full", seed=seed, right=20 + seed % 3, **drawn)
    found = compare(tmp_path / "runs")
    row = rows(found, "verdict")["full"]
    assert (row["basis"], row["images"]) == ("seeds, each with images of its own", 6 * IMAGES)
    assert row["verdict"] == "better" and "images" not in found["tables"]


def test_worse_is_said_of_figures_that_should_be_low(write_run: WriteRun, tmp_path: Path) -> None:
    for seed in range(6):
        write_run("head", seed=seed, right=10)
        write_run("full", seed=seed, right=20)
    row = rows(compare(tmp_path / "runs", "--metric", "nll", "--baseline", "full"), "verdict")["head"]
    # of ten images, whose class has a probability of 0.1 instead of 0.7
    assert row["verdict"] == "worse" and row["difference"] == pytest.approx(np.log(7) * 10 / 40, rel=1e-6)


def test_seeds_without_a_partner_are_left_out_of_pairs(write_run: WriteRun, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        write_run("head", seed=seed, right=10 + seed)
    for seed in (1, 2, 3):
        write_run("full", seed=seed, right=20 + seed)
    found = compare(tmp_path / "runs")
    row = rows(found, "paired")["full"]
    assert row["differences"] == pytest.approx({"1": 0.25, "2": 0.25})
    assert any("the seeds on digits differ" in line for line in found["notes"])
    assert rows(found, "images")["full"]["better"] == 11  # images 11 to 21, of seeds 1 and 2 alone
    assert rows(found, "verdict")["full"]["seeds"] == 2


def test_predictions_of_other_images_are_not_paired(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("head", seed=0, right=10)
    write_run("full", seed=0, right=np.arange(IMAGES + 1) < 20)
    found = compare(tmp_path / "runs")
    assert "images" not in found["tables"]
    assert any("no test over images" in line and "full on digits" in line for line in found["notes"])


def test_inference_modes(runs: Path) -> None:
    found = compare(runs)
    modes = rows(found, "modes")
    means = [modes["hma"][mode]["mean"] for mode in ("alone", "batch", "support")]
    assert means == pytest.approx([21 / 40, 31 / 40, 25 / 40])
    assert modes["full"]["alone"]["mean"] == pytest.approx(32 / 40) and modes["full"]["batch"]["mean"] is None
    batch = compare(runs, "--inference", "batch")
    assert rows(batch, "summary")["hma"]["mean"] == pytest.approx(31 / 40)
    assert rows(batch, "summary")["full"]["mean"] == pytest.approx(32 / 40)
    assert rows(batch, "images")["hma"]["better"] == 32 - 10  # from predictions_batch.npz
    assert any("full, head has one mode only" in line for line in batch["notes"])


def test_over_data_sets(write_run: WriteRun, tmp_path: Path) -> None:
    for dataset, shift in (("digits", 0), ("dtd", 5)):
        write_run("head", seed=0, right=10 + shift, dataset=dataset)
        write_run("full", seed=0, right=20 + shift, dataset=dataset)
    write_run("knn", seed=0, right=30)
    found = compare(tmp_path / "runs")
    overall = rows(found, "aggregate")
    assert set(overall) == {"head", "full"}
    assert (overall["full"]["rank"], overall["head"]["rank"]) == (1.0, 2.0)
    assert overall["full"]["iqm"] == pytest.approx(22.5 / 40)
    assert any("without knn" in line for line in found["notes"])
    overall = rows(compare(tmp_path / "runs", "--baseline", "head"), "aggregate")
    assert overall["full"]["difference"] == pytest.approx(10 / 40) and overall["head"]["difference"] is None
    holm = [row["p_mcnemar_holm"] for row in found["tables"]["images"]["rows"]]
    # over the whole table: knn's 20:0 comes first, times 3; the others' 10:0 times 2
    assert sorted(holm) == pytest.approx([3 * 2 * 0.5**20, 2 * 2 * 0.5**10, 2 * 2 * 0.5**10])


def test_images_that_some_seeds_share_are_known_by_their_keys(write_run: WriteRun, tmp_path: Path) -> None:
    """Each seed tests on 40 images of a pool of 75, five after those of the seed before; in the archive too."""
    for seed in range(8):
        drawn = {"settings": {"dataset.split_seed": seed}, "data": {"test_digest": f"drawn-{seed}"}}
        for method, right in (("head", 10), ("full", 25)):
            directory = write_run(method, seed=seed, right=right, keys=5 * seed + np.arange(IMAGES), **drawn)
    keys = [json.loads(path.read_text())["fingerprint"][:12] for path in directory.parent.glob("*/status.json")]
    define_sweep(str(tmp_path / "runs"), "drawn", [Trial(key, key, key) for key in keys]).save()
    records = load_directories([tmp_path / "runs"])
    runs, _ = select(records, Selection(["drawn"]))
    write_archive(list(runs["run"]), find_sweep(records, "drawn"), tmp_path / "archive")
    (row,) = compare(tmp_path / "runs")["tables"]["verdict"]["rows"]
    assert (row["basis"], row["images"], row["images_per_seed"]) == ("seeds and images", 75, IMAGES)
    assert row == compare(tmp_path / "archive")["tables"]["verdict"]["rows"][0]


def test_csv_has_the_raw_rows(runs: Path) -> None:
    found = compare(runs)
    assert {"summary", "paired", "runs"} <= found["tables"].keys() and all(found["tables"]["summary"]["rows"])
    for name, table in found["tables"].items():
        lines = list(csv.DictReader(io.StringIO((runs.parent / "out" / f"{name}.csv").read_text())))
        assert len(lines) == len(table["rows"])
        for line, row in zip(lines, table["rows"], strict=True):
            numbers = {k: v for k, v in row.items() if isinstance(v, float)}
            assert {k: float(line[k]) for k in numbers} == numbers
            assert all(line[k] == "" for k, v in row.items() if v is None)


def test_json_has_all_that_markdown_shows(runs: Path) -> None:
    found = compare(runs)
    text = (runs.parent / "out" / "comparison.md").read_text()
    for table in found["tables"].values():
        for line in table["text"]["cells"]:
            assert "| " + " | ".join(line) + " |" in text
    assert found["notes"] and all(f"- {note}" in text for note in found["notes"])


def test_latex_compiles(runs: Path) -> None:
    compare(runs)
    out = runs.parent / "out"
    text = (out / "comparison.tex").read_text()
    assert text.count(r"\toprule") == text.count(r"\begin{table}") == text.count(r"\end{table}") >= 3
    assert not re.search(r"(?<!\\)[%&_](?=\d)", re.sub(r"(?m)^%.*$|{%$|tab:\w+| & ", "", text))
    if shutil.which("pdflatex") is None:
        pytest.skip("the text is as expected; pdflatex is not installed to print it")
    head = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}\input{comparison}\end{document}"
    (out / "paper.tex").write_text(head)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=out, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


class Page(HTMLParser):
    """What a page refers to, and the text of its cells."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_page_needs_no_other_file(runs: Path) -> None:
    path = runs.parent / "report" / "page.html"
    assert main(["--runs", str(runs), "--baseline", "head", "--html", str(path)]) == 0
    text = path.read_text()
    page = Page()
    page.feed(text)
    assert page.open == [] and "script" not in page.tags and "link" not in page.tags
    assert len(page.links) == page.tags.count("img") == 6
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert not re.search(r"url\(|@import|https?://", text)
    found = compare(runs)
    words = set(page.words)
    for table in found["tables"].values():
        assert {cell for line in table["text"]["cells"] for cell in line if cell} <= words
    assert set(found["notes"]) <= words
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]


def test_names_are_escaped(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("head", seed=0, right=10, settings={"model.short_name": "<b>&|_%"})
    write_run("full", seed=0, right=10, settings={"model.short_name": "plain"})
    path = tmp_path / "page.html"
    options = ["--by", "method,model", "--out", str(tmp_path / "out"), "--no-figures", "--html", str(path)]
    assert main(["--runs", str(tmp_path / "runs"), *options]) == 0
    assert "<b>" not in path.read_text() and "&lt;b&gt;&amp;|_%" in path.read_text()
    assert r"\textless{}b\textgreater{}\&|\_\%" in (tmp_path / "out" / "comparison.tex").read_text()
    assert r"head <b>&\|_%" in (tmp_path / "out" / "comparison.md").read_text()


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "python -m analysis.compare --sweep demo --baseline head" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["--metric", "accuracy"])
    assert ended.value.code == 2
