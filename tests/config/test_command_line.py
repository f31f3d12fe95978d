"""Mistakes on the command line, as a user sees them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RunPy = Callable[..., subprocess.CompletedProcess[str]]


def errors(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines of stderr, all of which must be errors."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    lines = done.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines), done.stderr
    return [line.removeprefix("error: ") for line in lines]


def test_three_mistakes_are_three_lines(run_py: RunPy, tmp_path: Path) -> None:
    method, key, value = errors(run_py("method=hmaa", "optimizer.lr=-1", "trainr.max_steps=3"))
    assert method.startswith("unknown choice method=hmaa; did you mean hma?")
    assert key == "unknown setting trainr.max_steps; did you mean trainer.max_steps?"
    assert value == "optimizer.lr=-1 must be greater than 0"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["trainer.max_steps=many"], ["trainer.max_steps=many must be a whole number (now 1000)"]),
        (["method.hma.inference=some"], ["method.hma.inference=some must be one of alone, batch, support (now alone)"]),
        (["+foo=1", "+trainer.bar=2"], ["unknown setting foo", "unknown setting trainer.bar"]),
        (["seed"], ["'seed' is not of the form NAME=VALUE: did you mean seed=VALUE?"]),
        (["lr=1"], ["unknown setting lr; did you mean optimizer.lr?"]),
        (["-m", "sweep=study/dtd", "sweep.dry=1"], ["unknown setting sweep.dry"]),  # files in folders are choices too
        (["-m", "sweep=study/dtf"], ["unknown choice sweep=study/dtf; did you mean study/dtd?"]),
        (["-m", "seed=0,1", "optimizer.lr=-1,0"], ["optimizer.lr=-1 must be", "optimizer.lr=0 must be"]),
        (["task=predict"], ["task=predict needs run=DIR", "task=predict needs input=DIR"]),
    ],
    ids=lambda value: value[0],
)
def test_each_is_one_line(run_py: RunPy, arguments: list[str], expected: list[str]) -> None:
    lines = errors(run_py(*arguments))
    assert len(lines) == len(expected), lines
    assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True)), lines


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["model.name=vit_bse_patch32_224", "optimizer.lr=-1"], "model.name=vit_bse_patch32_224: timm has no model"),
        (["model.name=resnet50"], "model.name=resnet50: resnet50 is not a Vision Transformer"),
        (["method.hma.heads=5"], "method.hma.heads=5 does not divide the width 832"),
        (["augment.image_size=225"], "augment.image_size=225: not a multiple of the 32 pixel patches"),
        (["method.target=os.path"], "method.target=os.path is not a subclass of hma_ft.methods.base.Method"),
        (["trainer.grad_accumulation=2"], "trainer.grad_accumulation=2 would narrow what an image of method=hma"),
        (["method=head", "method.reads=[]"], "method.reads=[]: method=head has parameters that train"),
        (["method=knn", "method.class_token=true"], "method.name=knn has no head that trains by steps"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_only_timm_knows_comes_before_weights_and_data(
    run_py: RunPy, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    lines = errors(run_py(*arguments))
    assert lines[-1].startswith(expected)
    assert len(lines) == sum(not argument.startswith("method=") for argument in arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"]])
def test_help_imports_nothing_heavy(repository: Path, tmp_path: Path, arguments: list[str]) -> None:
    program = (
        "import runpy, sys, atexit\n"
        "heavy = {'torch', 'timm', 'mlflow', 'accelerate', 'numpy', 'pandas'}\n"
        "atexit.register(lambda: print('HEAVY', sorted(heavy & set(sys.modules))))\n"
        f"sys.argv = ['run.py', *{arguments!r}]\n"
        f"runpy.run_path({str(repository / 'run.py')!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"
    assert "method" in done.stdout
