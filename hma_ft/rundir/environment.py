"""env.json: what a result depends on beside its configuration."""

import importlib.metadata
import os
import platform
import re
import shlex
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

DIFF_LIMIT = 200_000  # characters of uncommitted changes that are kept
_REPOSITORY = Path(__file__).resolve().parents[2]


def command_line() -> str:
    """The command that started this process, as one would type it, without passwords in addresses."""
    program = "python -m " + _module() if _module() else "python " + shlex.quote(sys.argv[0])
    return without_passwords(" ".join([program, *map(shlex.quote, sys.argv[1:])]))


def _module() -> str:
    """The name behind `python -m`, or the empty string."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec.name.removesuffix(".__main__") if spec is not None else ""


def without_passwords(text: str) -> str:
    """`https://user:secret@host` becomes `https://***@host`; records are shown to others."""
    return re.sub(r"://[^/\s@]+@", "://***@", text)


def _git(*arguments: str) -> str | None:
    """Output of git in the repository of this code; None without git or repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(_REPOSITORY), *arguments],
            capture_output=True,
            timeout=20,
            check=True,
            # otherwise `git status` takes the index lock, and the trials of a sweep get in one another's way
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace")


def git_state() -> dict[str, Any]:
    """commit (None outside a repository), dirty, diff against the commit (cut at DIFF_LIMIT), untracked file names."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "dirty": None, "diff": "", "untracked": []}
    changes = (_git("status", "--porcelain", "--untracked-files=normal") or "").splitlines()
    diff = _git("diff", "HEAD") or ""
    if len(diff) > DIFF_LIMIT:
        diff = diff[:DIFF_LIMIT] + f"\n... cut here; {len(diff)} characters in all\n"
    untracked = [line[3:] for line in changes if line.startswith("??")]
    return {"commit": commit.strip(), "dirty": bool(changes), "diff": diff, "untracked": untracked[:200]}


def _devices() -> dict[str, Any]:
    """Torch's view of the machine."""
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "cpu": cpu_name(),
        "device": names[0] if names else platform.processor() or platform.machine(),
        "gpus": names,
        "torch_threads": torch.get_num_threads(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if names else None,
    }


def cpu_name() -> str:
    """Model and widest vector instructions that torch uses: what rounding depends on."""
    import torch

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    return f"{model} ({torch.backends.cpu.get_cpu_capability()})"


@cache  # two hundred files to parse: a fifth of a second
def packages() -> dict[str, str]:
    """Installed distributions and their versions when this process first asked, by name.

    The first on the path counts, as for an import. What setuptools carries within itself is left out: importing it
    appends its `_vendor` folder to the path, so that a run's record would depend on what was imported before.
    """
    versions: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        metadata = distribution.metadata  # parsed at each access
        if metadata["Name"] and Path(str(distribution.locate_file(""))).name != "_vendor":
            versions.setdefault(metadata["Name"], metadata["Version"])
    return dict(sorted(versions.items(), key=lambda item: item[0].lower()))


def environment(command: str | None = None) -> dict[str, Any]:
    """Versions, code, machine and command, as JSON takes it."""
    slurm = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_PARTITION", "SLURM_NTASKS")
    return {
        "command": without_passwords(command) if command else command_line(),
        "folder": os.getcwd(),
        "git": git_state(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        # what this process may use, under Slurm less than the machine has
        "cpus": len(os.sched_getaffinity(0)),
        **_devices(),
        "slurm": {name: os.environ[name] for name in slurm if name in os.environ},
        "packages": packages(),
    }
