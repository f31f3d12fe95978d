"""What is filled into pages and cards stays text."""

from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError

from analysis.attention.page import TEMPLATE, Section
from hma_ft.config.schema import Config
from hma_ft.export.card import Exported, Record, card
from hma_ft.reporting.templates import render

SCRIPT = "<script>alert(1)</script>"


def test_a_class_named_script_stays_text_on_the_page() -> None:
    sections = [Section("a.png", f"Reads of {SCRIPT}", SCRIPT), Section(None, "Nothing", "to show")]
    table = ["class"], [[SCRIPT]]
    page = render(TEMPLATE, title=SCRIPT, introduction="", shares=table, agreement=table, sections=sections)
    assert "<script" not in page and page.count("&lt;script&gt;") == 7
    assert page.count("<img ") == 1


def test_a_class_named_script_stays_text_in_the_card(tmp_path: Path) -> None:
    probabilities = np.eye(2, dtype=np.float32)[[0, 1, 1]]
    np.savez(tmp_path / "predictions.npz", labels=[0, 1, 0], probabilities=probabilities)
    result = {"inference": "alone", "test/top5": 1.0, "test/ece": 0.1, "val/top1": 0.5, "best/step": 3}
    result |= {"params/trainable": 0, "params/total": 5, "time/wall_s": 1.0, "memory/peak_bytes": 2**20}
    data = {"train": 4, "val": 2, "test": 3} | {f"{split}_digest": "d" for split in ("train", "val", "test")}
    env = {"command": "python run.py 'a&b'", "device": "cpu", "python": "3.11"}
    prepared = {"exif_orientation": False, "centre_crop": 32, "resize_short_side": 36, "interpolation": "bicubic"}
    prepared["resize"] = "crop"
    exported = Exported(None, None, {}, "3 images", prepared | {"mean": 0, "std": 1}, [SCRIPT, "cat"], False, None)
    text = card(Record(tmp_path, Config(), result, env, data), exported)
    assert "<script" not in text and "Classes, in the order of the logits: &lt;script&gt;alert(1)" in text
    assert "```\npython run.py 'a&b'\n```" in text  # a block of code shows it as it is


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render(TEMPLATE, title="")
