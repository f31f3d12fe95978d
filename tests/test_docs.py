"""The documentation is followed to the letter."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = re.compile(r"(?:^`(?P<path>[\w./]+)`\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
COPIED = ("conf", "hma_ft", "hydra_plugins", "sweeps", "tests", "run.py", "pyproject.toml")


@pytest.mark.slow
def test_extending(repository: Path, tmp_path: Path) -> None:
    for name in COPIED:
        source = repository / name
        ignore = shutil.ignore_patterns("__pycache__")
        (shutil.copytree(source, tmp_path / name, ignore=ignore) if source.is_dir() else shutil.copy(source, tmp_path))
    commands = []
    for block in BLOCK.finditer((repository / "docs/EXTENDING.md").read_text()):
        if block["path"]:
            assert not (tmp_path / block["path"]).exists()
            (tmp_path / block["path"]).write_text(block["text"])
        else:
            assert block["kind"] == "sh"
            commands += block["text"].splitlines()
    assert len(commands) == 10
    for command in commands:
        python, *arguments = shlex.split(command)
        assert python == "python"
        done = subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_every_released_flag_is_in_the_readme(repository: Path) -> None:
    """The names are those of the released command line."""
    flags = (
        "dataset model_name ckpt size max_steps warmup_steps lr optimizer scheduler weight_decay batch_size "
        "val_check_interval seed workers tune_head tune_cls mem_type add_mem_num HMA label_hidden num_heads topk "
        "norm_after_topk null_KV softmax_temp local_mem_size encoder_momentum abd_augmentation global_memory_number "
        "gaussain_mem logits_resource aba_ablation abd_ablation"
    )
    text = (repository / "README.md").read_text()
    missing = [flag for flag in flags.split() if f"`--{flag}" not in text]
    assert not missing


def test_links_lead_somewhere(repository: Path) -> None:
    for page in (repository / "README.md", *sorted((repository / "docs").glob("*.md"))):
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_figures_of_the_readme_stand_in_the_study(repository: Path) -> None:
    """The pages are written from records, the README by hand."""
    introduction = (repository / "README.md").read_text().split("\n## Use\n")[0]
    pages = "".join(path.read_text() for path in (repository / "docs").glob("STUDY*.md"))
    figures = re.findall(r"(?<![\w.])[+-]?\d+\.\d\d(?![\d.])", introduction)
    assert len(figures) > 40
    missing = [figure for figure in figures if not re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", pages)]
    assert not missing
