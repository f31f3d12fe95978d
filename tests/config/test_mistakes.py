"""What a person may get wrong: every line says what, with the value, and what to do."""

from pathlib import Path

import pytest

from tests.config.conftest import Command

TINY = ("model=vit_micro", "dataset=digits", "augment=digits", "tracking=off", "method=head")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # wrong types
        (["seed=1.5"], ["seed=1.5 must be a whole number (now 0)"]),
        (["seed=null"], ["seed=null must be a whole number (now 0)"]),
        (["seed="], ["seed= must be a whole number (now 0)"]),
        (["trainer.profile_steps=-5"], ["trainer.profile_steps=-5 must be 0 or greater"]),
        (["seed=nan"], ["seed=nan must be a whole number (now 0)"]),
        (["seed=٣"], ["seed=٣ can't be read: seed takes a whole number"]),
        (["trainer.max_steps=1e3"], ["trainer.max_steps=1e3 must be a whole number, such as 1000 (now 1000)"]),
        (["optimizer.lr=true"], ["optimizer.lr=true must be a number (now 0.01)"]),
        (["optimizer.lr=[1,2]"], ["optimizer.lr=[1,2] must be a number (now 0.01)"]),
        (["trainer.compile=maybe"], ["trainer.compile=maybe must be true or false (now false)"]),
        (["trainer.precision=fp8"], ["trainer.precision=fp8 must be one of fp32, tf32, bf16, fp16 (now fp32)"]),
        (["task=nope"], ["task=nope must be one of train, evaluate, predict, prepare, sync, status, cancel, export"]),
        (["method.hma.top_k=many"], ["method.hma.top_k=many must be a whole number or null (now null)"]),
        (["dataset.root=null"], ["dataset.root=null must be text (now data)"]),
        (["augment.crop_scale=0.5"], ["augment.crop_scale=0.5 must be a list of numbers, such as [0.5, 1]"]),
        (["augment.crop_scale=[a,b]"], ["augment.crop_scale=[a,b] must be a list of numbers"]),
        (["model.options=5"], ["model.options=5 must be a mapping, such as {NAME: VALUE} (now {})"]),
        (["optimizer={lr:x,foo:2}"], ["optimizer.lr=x must be a number", "unknown setting optimizer.foo"]),
        # names
        (["++foo=1"], ["unknown setting foo"]),
        (["a=b=c"], ["unknown setting a"]),
        (["+seed=1"], ["+seed=1: seed is there already; leave out the plus sign"]),
        (["model.options={nope: 1}"], ["unknown setting model.options.nope; a new one is added by '+model.options="]),
        (["model.options.nope=1"], ["unknown setting model.options.nope; a new one is added by +model.options.nope=1"]),
        (
            ["method=knn", "+method.options.x=1"],
            ["unknown setting method.options.x; method.options has k, temperature, voting"],
        ),
        (
            ["-m", "sweep=verdict_quick", "dataset=digits", "sweep.tune.grids.head.optimizer.lr=[0.1,0.2]"],
            ["sweep.tune.grids.head.optimizer.lr: a grid is given whole, as 'sweep.tune.grids.head={optimizer.lr: ["],
        ),
        (["=x"], ["'=x': '' can't be the name of a setting"]),
        (["train"], ["'train' is not of the form NAME=VALUE: did you mean task=train?"]),
        (["demo"], ["'demo' is not of the form NAME=VALUE: did you mean experiment=demo or sweep=demo?"]),
        (["foo"], ["'foo' is not of the form NAME=VALUE; a text with blanks is quoted"]),
        (["help"], ["'help' is not of the form NAME=VALUE: did you mean --help?"]),
        # what can't be taken out
        (["~seed"], ["~seed: a setting can't be taken out; give it another value (now 0)"]),
        (["~foo"], ["~foo: unknown setting foo"]),
        (["~tracking"], ["~tracking: this group can't be left out; choose from it by tracking=CHOICE"]),
        # choices
        (["method=null"], ["unknown choice method=null; python run.py --help lists them"]),
        (["dataset=5"], ["unknown choice dataset=5; there are: aircraft"]),
        (["method="], ["unknown choice method=; python run.py --help lists them"]),
        (["method=[head,hma]"], ["method=[head,hma]: give one method; a sweep over several is -m method=head,hma"]),
        (["experiment=[demo,nope]"], ["unknown choice experiment=nope; python run.py --help lists them"]),
        (["experiment=lr/x2"], ["unknown choice experiment=lr/x2; did you mean lr/x"]),
        (["dataset@foo=dtd"], ["dataset@foo=dtd: no package can be chosen by @ here; write dataset=CHOICE"]),
        (["hydra/launcher=slurmm"], ["unknown choice hydra/launcher=slurmm; did you mean slurm?"]),
        (["-m", "hydra.launcher.n_jobs=x"], ["hydra.launcher.n_jobs=x must be a whole number or null (now null)"]),
        (["hydra.nope=1"], ["unknown setting hydra.nope"]),
        # interpolations and missing values
        (["runs_dir=${x}"], ["runs_dir=${x}: Interpolation key 'x' not found; to mean the characters themselves: "]),
        (["runs_dir=${runs_dir}"], ["runs_dir=${runs_dir}: Recursive interpolation detected"]),
        (["seed=${oc.env:NOPE}"], ["seed=${oc.env:NOPE}: KeyError raised while resolving interpolation"]),
        (["seed=???"], ["seed has no value (???): add seed=VALUE"]),
        # sweeps
        (["seed=range(0,3)"], ["seed=range(0,3) gives several values: add -m to run a trial for each"]),
        (["method=head,hma"], ["method=head,hma gives 2 values: add -m to run a trial for each"]),
        (["seed=interval(0,1)"], ["seed=interval(0,1): trials are not drawn from an interval"]),
        (["seed=glob(*)"], ["seed=glob(*): glob chooses from a group, and seed is a setting"]),
        (["-m", "seed=range(3,0)"], ["seed=range(3,0) gives no value"]),
        (["-m", "method=glob(x*)"], ["method=glob(x*) gives no value"]),
        (["-m", "seed=range(0,1e9)"], ["seed=range(0,1e9) asks for 1,000,000,000 trials: at most 10,000"]),
        (["-m", "runs_dir=a,b"], ["runs_dir=a,b names several, and all trials of a sweep share one; one value with"]),
        (["sweep=demo"], ["sweep=demo is for a sweep: add -m, or task=status or task=cancel"]),
        ([*TINY, "sweep.dry_run=true"], ["sweep.dry_run=true is for a sweep: add -m"]),
        (["-m", *TINY, "seed=0,1", "dataset.split_seed=-1"], ["dataset.split_seed=-1 must be at least 0"]),
        # flags
        (["--cfg"], ["--cfg/-c: expected one argument"]),
        (["--cfg", "jobs"], ["--cfg/-c: invalid choice: 'jobs'"]),
        (["--config", "x"], ["ambiguous option: --config could match"]),
        (["--experimental-rerun", "x"], ["--experimental-rerun: a run is repeated by its own command"]),
        (["-cn", "foo"], ["Cannot find primary config 'foo'"]),
        (["-cd", "/no/such"], ["Additional config directory '/no/such' not found"]),
        (["--lr", "0.1"], ["'0.1' is not of the form", "unknown flag --lr: settings are given as NAME=VALUE, without"]),
        (["--dataset=dtd"], ["unknown flag --dataset=dtd: settings are given as NAME=VALUE, without dashes; did you"]),
        # impossible values
        (["runs_dir="], ["runs_dir= is empty: give a value"]),
        (["model.weights="], ["model.weights= is empty: give a value, or null"]),
        (["optimizer.lr=inf"], ["optimizer.lr=inf must be a finite number"]),
        (["seed=99999999999999999999999"], ["seed=99999999999999999999999 must be a number of less than 64 bits"]),
        (["tracking.uri=/tmp/x"], ["tracking.uri=/tmp/x is neither a server (http://HOST:PORT) nor a database"]),
        (["tracking.uri=nonsense://x"], ["tracking.uri=nonsense://x is neither a server"]),
        (["tracking.uri=sqlite:///"], ["tracking.uri=sqlite:/// names no file: write sqlite:///FILE"]),
        # tasks
        (["task=evaluate"], ["task=evaluate needs run=DIR"]),
        (["task=evaluate", "run=/no/such"], ["run=/no/such is not a directory"]),
        (["task=evaluate", "run=."], ["run=. is not a run directory (it has no config.yaml)"]),
        (["task=sync", "run=/no/such"], ["run=/no/such is not a directory"]),
        (["task=sync"], ["there are no runs in runs_dir=runs"]),
        (["run=x"], ["run=x is not read by task=train: leave it out, or add task=evaluate or"]),
        (["task=status", "sweep.name=x"], ["no sweep named x in runs/sweeps"]),
        (["task=cancel"], ["task=cancel needs a sweep: add sweep=NAME"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_it_is_one_line_with_the_value_and_what_to_do(
    command: Command, tmp_path: Path, arguments: list[str], expected: list[str]
) -> None:
    errors = command(*arguments).errors
    assert len(errors) == len(expected), errors
    assert all(error.startswith(start) for error, start in zip(errors, expected, strict=True)), errors
    assert not list(tmp_path.rglob("result.json"))


def test_only_what_is_wrong_is_named(command: Command) -> None:
    """Neither the value of a flag nor the default that counts instead of a wrong value."""
    (error,) = command("--cfg", "job", "method=hmaa").errors
    assert error.startswith("unknown choice method=hmaa; did you mean hma?")
    (error,) = command("dataset=folder", "dataset.root=null").errors
    assert error.startswith("dataset.root=null must be text")


@pytest.mark.parametrize(
    "arguments",
    [["seed=1", "--cfg", "job", "trainer.max_steps=3"], ["--cfg", "job", "seed=1", "trainer.max_steps=3"]],
    ids=["between", "before"],
)
def test_flags_stand_anywhere(command: Command, arguments: list[str]) -> None:
    done = command(*arguments)
    assert done.code == 0, done.err
    assert {"seed: 1", "  max_steps: 3"} <= set(done.out.splitlines())


def test_a_directory_of_ones_own_settings(command: Command, tmp_path: Path) -> None:
    """--config-dir: its choices are known, its mistakes are named with file and key."""
    folder = tmp_path / "own" / "method"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("name: mine\n")
    (folder / "wrong.yaml").write_text("name: wrong\nfoo: 1\n")
    (folder / "broken.yaml").write_text("name: [\n")
    good = command("-cd", "own", "method=mine", "--cfg", "job", "-p", "method")
    assert good.code == 0 and "name: mine" in good.out
    (error,) = command("-cd", "own", "method=mine", "optimizer.lr=-1").errors
    assert error == "optimizer.lr=-1 must be greater than 0"
    (error,) = command("-cd", "own", "method=wrong").errors
    assert "method/wrong" in error and "'foo' not in 'MethodConfig'" in error
    (error,) = command("-cd", "own", "method=broken").errors
    assert "broken.yaml" in error and "line 2" in error
    (error,) = command("-cd", "own", "method=min").errors
    assert error.startswith("unknown choice method=min; did you mean mine?")
