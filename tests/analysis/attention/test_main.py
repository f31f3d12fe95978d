"""The tool from its command line."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from tests.analysis.conftest import Tool, Train


@pytest.mark.slow
def test_a_page_with_every_figure(hma_run: Path, tool: Tool, tmp_path: Path) -> None:
    result = tool("analysis.attention", f"run={hma_run}", "classes=3,5", "images=3", "top=2", "out=found", "device=cpu")
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "found" / "index.html").read_text()
    shown = re.findall(r'<img src="([^"]+)"', page)
    assert shown == [
        "shares.png",
        "agreement.png",
        "between.png",
        "real.png",
        "synthetic.png",
        "support.png",
        "gallery_real.png",
        "gallery_support.png",
        "rollout.png",
    ]
    for name in shown:
        with Image.open(tmp_path / "found" / name) as image:
            assert min(image.size) > 100 and image.convert("L").getextrema()[0] < 128
    assert "http" not in page
    numbers = json.loads((tmp_path / "found" / "numbers.json").read_text())
    assert numbers["examples"]["classes"] == [3, 5]
    assert numbers["test_images"] == 450
    modes = {row["mode"] for row in numbers["readings"]}
    assert modes == {"every", "alone", "batch", "support"}
    for mode in modes:
        assert sum(row["share"] for row in numbers["readings"] if row["mode"] == mode) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "switches",
    [
        ("method.hma.batch_attention=false", "method.hma.null_key=true", "method.hma.top_k=3"),
        ("method.hma.real.size=0", "method.hma.synthetic.slots=0"),
        ("method.hma.real.size=20", "method.hma.real.update=false"),
        ("method.hma.real.size=300", "augment.mixup_alpha=0.5", "method.hma.synthetic.slots=1"),
    ],
)
def test_every_kind_of_memory_is_shown(train: Train, tool: Tool, tmp_path: Path, switches: tuple[str, ...]) -> None:
    """Without neighbours, without memories, a queue that was never written, one of mixed images that is not full."""
    result = tool("analysis.attention", f"run={train('method=hma_head', *switches)}", "out=found", "images=2")
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "found" / "index.html").read_text()
    assert ("between.png" in page) == ("method.hma.batch_attention=false" not in switches)
    filled = {"method.hma.real.size=0", "method.hma.real.update=false"}.isdisjoint(switches)
    assert ("gallery_real.png" in page) == filled
    assert ('"real.png"' in page) == filled


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clases=1"], "unknown key clases; did you mean classes?"),
        (["run"], "run is not of the form key=value"),
        (["images=0"], "images=0 must be a whole number"),
        ([], "run=DIR is missing"),
        (["run=nowhere"], "run=nowhere is not a run directory"),
        (["run={hma}", "classes=ten"], "classes=ten is no class of this run"),
        (["run={hma}", "device=tpu"], "device=tpu is not known"),
        (["run={head}"], "(method head) has no memory"),
    ],
)
def test_mistakes_are_one_line(train: Train, hma_run: Path, tool: Tool, arguments: list[str], message: str) -> None:
    head = train("method=head") if "{head}" in str(arguments) else ""
    result = tool("analysis.attention", *(argument.format(hma=hma_run, head=head) for argument in arguments))
    assert result.returncode == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and message in errors[0]
    assert "Traceback" not in result.stderr


def test_help_says_what_there_is(tool: Tool) -> None:
    for module in ("analysis.attention", "analysis.memory"):
        result = tool(module, "--help")
        assert result.returncode == 0
        assert "run=DIR" in result.stdout
