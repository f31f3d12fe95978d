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


def test_pairs_by_hand(runs: Path) -> None:
    found = compare(runs)
    row = rows(found, "paired")["full"]
    assert row["differences"] == pytest.approx({"0": 20 / 40, "1": 21 / 40, "2": 22 / 40})
    assert row["difference"] == pytest.approx(21 / 40) and row["sd"] == pytest.approx(1 / 40)
    assert row["p_sign_flip"] == row["least_p"] == 0.25 and row["p_sign_flip_holm"] == row["least_p_holm"] == 0.5
    assert row["p_t"] == pytest.approx(2 * 0.000376, rel=0.01)  # t = 21 sqrt(3) with 2 degrees of freedom
    assert row["verdict"] == "can't decide" and row["seeds_needed"] == 7  # 2 / 2^7 <= 0.05 / 2 < 2 / 2^6
    row = rows(found, "images")["full"]  # images 10 to 33 are recognised by full in more seeds, none by head
    assert (row["better"], row["worse"], row["images"]) == (24, 0, IMAGES)
    assert row["p_mcnemar"] == pytest.approx(2 * 0.5**24) and row["difference"] == pytest.approx(21 / 40)
    (line,) = [text for text in found["statements"] if "can't decide" in text]
    assert line.startswith("3 seeds can't decide: the least p of the sign-flip test is 0.25 (0.5 after Holm over 2")
    assert "it takes 7 seeds" in line


def test_six_seeds_can_decide_and_five_can_not(write_run: WriteRun, tmp_path: Path) -> None:
    for seed in range(6):
        write_run("head", seed=seed, right=10)
        write_run("full", seed=seed, right=20 + seed)
    found = compare(tmp_path / "runs")
    row = rows(found, "paired")["full"]
    assert row["p_sign_flip"] == 2 / 64 and row["verdict"] == "better" and not found["statements"]
    fewer = compare(tmp_path / "runs", "--where", "seed=0,1,2,3,4")
    assert rows(fewer, "paired")["full"]["verdict"] == "can't decide"


def test_worse_is_said_of_figures_that_should_be_low(write_run: WriteRun, tmp_path: Path) -> None:
    for seed in range(6):
        write_run("head", seed=seed, right=10)
        write_run("full", seed=seed, right=20)
    for directory in (tmp_path / "runs" / "digits").glob("full-*"):
        result = json.loads((directory / "result.json").read_text())
        (directory / "result.json").write_text(json.dumps(result | {"test/nll": 2.0 + result["time/train_s"] / 100}))
    assert rows(compare(tmp_path / "runs", "--metric", "nll"), "paired")["full"]["verdict"] == "worse"


def test_seeds_without_a_partner_are_left_out_of_pairs(write_run: WriteRun, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        write_run("head", seed=seed, right=10 + seed)
    for seed in (1, 2, 3):
        write_run("full", seed=seed, right=20 + seed)
    found = compare(tmp_path / "runs")
    row = rows(found, "paired")["full"]
    assert row["differences"] == pytest.approx({"1": 0.25, "2": 0.25})
    assert any("the seeds on digits differ" in line for line in found["statements"])
    assert rows(found, "images")["full"]["better"] == 11  # images 11 to 21, of seeds 1 and 2 alone


def test_predictions_of_other_images_are_not_paired(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("head", seed=0, right=10)
    write_run("full", seed=0, right=np.arange(IMAGES + 1) < 20)
    found = compare(tmp_path / "runs")
    assert "images" not in found["tables"]
    assert any("no test over images" in line and "full on digits" in line for line in found["statements"])


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
    assert any("full, head has one mode only" in line for line in batch["statements"])


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
    assert any("without knn" in line for line in found["statements"])
    holm = [row["p_mcnemar_holm"] for row in found["tables"]["images"]["rows"]]
    # over the whole table: knn's 20:0 comes first, times 3; the others' 10:0 times 2
    assert sorted(holm) == pytest.approx([3 * 2 * 0.5**20, 2 * 2 * 0.5**10, 2 * 2 * 0.5**10])


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
    assert found["statements"] and all(f"- {statement}" in text for statement in found["statements"])


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
    assert set(found["statements"]) <= words
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]


def test_names_are_escaped(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("head", seed=0, right=10, settings={"model.label": "<b>&|_%"})
    write_run("full", seed=0, right=10, settings={"model.label": "plain"})
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
