"""Where a measurement was made."""

import os
from datetime import UTC, datetime

import psutil

from hma_ft.rundir.environment import environment

PACKAGES = ("torch", "torchvision", "timm", "accelerate", "hydra-core", "numpy", "pillow")


def processor() -> str:
    """Its name and number of cores."""
    here = environment()
    return f"{here['cpu']}, {here['cpus']} cores"


def description() -> str:
    """Markdown list: date, commit, processor, memory, load, versions."""
    here = environment()
    code = here["git"]["commit"] or "no repository"
    if here["git"]["dirty"]:
        code += ", with changes that are not committed"
    device = ", ".join(here["gpus"]) or "none"
    versions = ", ".join(f"{name} {here['packages'].get(name, '?')}" for name in PACKAGES)
    return "\n".join(
        [
            f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            f"- commit: {code}",
            f"- processor: {here['cpu']}, {here['cpus']} cores and {here['torch_threads']} torch threads for this "
            f"process; {psutil.virtual_memory().total / 2**30:.0f} GiB of memory",
            f"- GPU: {device}",
            f"- load average (1 minute) at the start: {os.getloadavg()[0]:.1f}",
            f"- Python {here['python']}, {versions}",
        ]
    )
