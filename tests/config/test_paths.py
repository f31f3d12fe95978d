"""Paths with any characters: `~` is the home directory, and what Hydra can't read is shown as it can be pasted."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.arguments import parse
from analysis.compare.arguments import parse as parse_compare
from hma_ft.config.command_line import pasteable
from hma_ft.config.paths import PATHS, user_path
from tests.config.conftest import Command
from tests.config.test_compose import composed

NASTY = [
    "a b(c)",
    "key=value",
    "#1 & 2",
    "comma, twice, ",
    "it's",
    'say "hi"',
    "Bücher",
    "写真",
    "[x]{y}",
    "${HOME} $HOME",
    "back\\slash\\",
    "~tilde",
    "star*?!",
    "a:b@c%d^e|f<g>h;i`j",
]
SHELLS = [shell for shell in ("bash", "dash", "zsh") if shutil.which(shell)]


def through_a_shell(shell: str, text: str) -> str:
    """The argument that a program sees."""
    show = f"{sys.executable} -IS -c 'import sys; sys.stdout.buffer.write(sys.argv[1].encode())' {text}"
    return subprocess.run([shell, "-c", show], capture_output=True, check=True).stdout.decode()


@pytest.mark.parametrize("name", NASTY)
def test_the_line_can_be_pasted(command: Command, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    as_typed = command("dataset=folder", f"dataset.root={folder}", "optimizer.lr=-1").errors
    pasted = pasteable("dataset.root", str(folder))
    if len(as_typed) == 2:  # else Hydra read it as it was meant
        assert as_typed[0].startswith(f"dataset.root={folder}") and pasted in as_typed[0]
    (argument,) = {through_a_shell(shell, pasted) for shell in SHELLS}
    assert command("dataset=folder", argument, "optimizer.lr=-1").errors == ["optimizer.lr=-1 must be greater than 0"]
    shutil.rmtree(folder)
    (error,) = command("dataset=folder", argument).errors
    assert error.startswith(f"dataset.root={folder} is not a directory")


def test_a_comma_has_two_readings(command: Command, tmp_path: Path) -> None:
    (error,) = command("dataset=folder", "dataset.root=/tmp/a,b").errors
    assert error == (
        "dataset.root=/tmp/a,b gives 2 values: add -m to run a trial for each; "
        "one value with a comma is quoted: 'dataset.root=\"/tmp/a,b\"'"
    )
    (tmp_path / "a,b").mkdir()
    (error,) = command("-m", "dataset=folder", "dataset.root=a,b").errors
    assert error.startswith("dataset.root=a,b is a path that exists; one value with a comma is quoted")
    (error,) = command("augment.crop_scale=0.5,1").errors
    assert error.endswith("a list is written in brackets: 'augment.crop_scale=[0.5,1]'")


@pytest.mark.slow
def test_the_whole_command_through_a_shell(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my images (2024), it's #1 & süß"
    folder.mkdir()

    def run(argument: str) -> subprocess.CompletedProcess[str]:
        line = f"{sys.executable} {repository}/run.py dataset=folder {argument} optimizer.lr=-1"
        return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=tmp_path)

    refused = run(f'"dataset.root={folder}"').stderr.splitlines()
    assert len(refused) == 2
    accepted = run(refused[0].partition("paste: ")[2])
    assert accepted.stderr == "error: optimizer.lr=-1 must be greater than 0\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def test_a_tilde_is_the_home_directory_in_every_path(home: Path) -> None:
    config = composed(*(f'{name}="~/{name}"' for name in PATHS if name != "tracking.uri"))
    for name in PATHS:
        group, _, key = name.rpartition(".")
        value = getattr(getattr(config, group) if group else config, key)
        assert value == (None if name == "tracking.uri" else f"{home}/{name}")
    assert composed('tracking.uri="sqlite:///~/m.db"').tracking.uri == f"sqlite:///{home}/m.db"
    assert composed('dataset.root="a~b"').dataset.root == "a~b"


def test_a_tilde_need_not_be_quoted(command: Command, home: Path, tmp_path: Path) -> None:
    (error,) = command("dataset=folder", "dataset.root=~/x").errors
    assert error.startswith(f"dataset.root={home}/x is not a directory")
    tiny = ("model=vit_micro", "dataset=digits", "augment=digits", "method=head", "sweep.dry_run=true")
    for runs in ("runs_dir=~/one", 'runs_dir="~/two"'):
        done = command("-m", *tiny, "seed=0,1", runs)
        assert done.code == 0, done.err
    assert {path.name for path in home.iterdir()} == {"one", "two"}
    assert not (tmp_path / "~").exists()


def test_the_tools_of_analysis_know_it_too(home: Path) -> None:
    defaults = dict.fromkeys(("run", "out", "dataset_root", "weights", "classes"))
    values = parse([f"{name}=~/x" for name in defaults], defaults)
    assert values == dict.fromkeys(defaults, f"{home}/x") | {"classes": "~/x"}
    options = parse_compare(["--runs", "~/a", "~/b", "--out", "~/c", "--html", "~/d", "--mlflow", "sqlite:///~/e"])
    assert options.runs == [home / "a", home / "b"]
    assert (options.out, options.html, options.mlflow) == (home / "c", home / "d", f"sqlite:///{home}/e")
    assert user_path("~nobody-of-that-name/x") == "~nobody-of-that-name/x"
