"""What the reader is told: from rows of the comparison to two sentences and the head of the page."""

from pathlib import Path
from typing import Any

import pytest

from analysis.verdict.comparison import verdict_of
from analysis.verdict.page import with_answer
from analysis.verdict.sentences import sentences_of


def row(group: str, difference: float, **changes: Any) -> dict[str, Any]:
    values = {
        "dataset": "dtd",
        "group": group,
        "difference": difference,
        "low": difference - 0.01,
        "high": difference + 0.01,
        "seeds": 10,
        "least_seeds": 8,
        "least_images": 20,
        "can_decide": True,
        "significant": False,
        "verdict": "not significant",
        "seeds_needed": None,
        "images_needed": None,
        "both_needed": None,
    }
    return values | changes


def compared(rows: list[dict[str, Any]], metric: str = "top1") -> dict[str, Any]:
    means = {"head": 0.8, "x": 0.9}
    chosen = {"optimizer.lr": "0.1"}
    summary = [{"dataset": "dtd", "group": g, "mean": m, "chosen": chosen, "n": 10} for g, m in means.items()]
    return {
        "metric": metric,
        "higher_is_better": metric != "nll",
        "baseline": "head",
        "notes": ["NOT COMPARABLE (--force): steps", "another line"],
        "tables": {"summary": {"rows": summary}, "verdict": {"rows": rows}},
    }


def said(*rows: dict[str, Any], metric: str = "top1") -> list[str]:
    return sentences_of(compared(list(rows), metric), rows)


def test_what_is_better_with_its_interval_and_what_is_open_with_what_would_decide() -> None:
    found = said(
        row("hma_head", 0.003, seeds_needed=14),
        row("hma_lora", 0.015, significant=True),
        row("lora", 0.021, significant=True),
        row("ncm", -0.051, significant=True),
        row("knn", -0.03, significant=True),
    )
    assert found == [
        "lora is better than head by 2.1 points (1.1 to 3.1), hma_lora by 1.5 (0.5 to 2.5).",
        "hma_head (needs 14 seeds to decide) is not significantly different; knn and ncm are worse, by 3.0 to 5.1 "
        "points.",
    ]


def test_nothing_is_better_and_too_few_seeds_say_so() -> None:
    weak = {"can_decide": False, "seeds": 3}
    found = said(row("lora", 0.021, **weak), row("hma", -0.01, **weak), row("mlp", 0.0, images_needed=4000))
    assert found == [
        "Nothing is significantly better than head.",
        "mlp (needs 4,000 test images to decide) is not significantly different; 3 seeds are too few to judge "
        "lora (+2.1 so far) and hma (-1.0 so far), which takes at least 8.",
    ]


def test_without_any_verdict_nothing_is_denied() -> None:
    (first, _) = said(row("lora", 0.021, can_decide=False, seeds=3))
    assert first == "No method can be judged against head yet."


def test_of_errors_less_is_better() -> None:
    (first, _) = said(row("lora", -0.2, significant=True), row("hma", 0.1, significant=True), metric="nll")
    assert first == "lora is better than head by 0.200 (0.190 to 0.210)."


def test_several_data_sets_are_told_apart() -> None:
    found = said(row("lora", 0.1, significant=True), row("lora", -0.1, dataset="pets", significant=True))
    assert (
        found[0].startswith("On dtd, lora is better")
        and found[1] == "On pets, nothing is significantly better than head."
    )


def test_the_record_begins_with_the_baseline() -> None:
    verdict = verdict_of(compared([row("x", 0.1, significant=True, verdict="better")]), {"x": ["optimizer.lr"]})
    assert [(r["group"], r["verdict"], r["difference"]) for r in verdict.rows] == [
        ("head", "", None),
        ("x", "better", 0.1),
    ]
    assert verdict.warnings == ["NOT COMPARABLE (--force): steps"]


def test_the_answer_stands_below_the_headline() -> None:
    verdict = verdict_of(compared([row("x", 0.1, significant=True, verdict="better")]), {"x": ["optimizer.lr"]})
    page = with_answer("<h1>a & b</h1><p>rest</p>", verdict, ["method=head: lr <1"], Path("absent.png"))
    assert page.startswith('<h1>a & b</h1>\n<section id="answer"><p><strong>x is better than head by 10.0 points')
    assert "+9.00 to +11.00" in page and "lr &lt;1" in page and page.endswith("</section>\n<p>rest</p>")
    with pytest.raises(ValueError, match="no headline"):
        with_answer("<p></p>", verdict, [], Path("absent.png"))
