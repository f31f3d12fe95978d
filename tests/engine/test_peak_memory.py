"""The peak of this process, and not of the one that started it."""

import subprocess
import sys
from pathlib import Path

import numpy as np

PROGRAM = "import numpy; from hma_ft.engine.peak_memory import peak_memory_bytes; {}; print(peak_memory_bytes())"
MIB = 2**20


def peak(repository: Path, statement: str) -> int:
    command = [sys.executable, "-c", PROGRAM.format(statement)]
    return int(subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout)


def test_what_was_freed_counts_and_the_parent_does_not(repository: Path) -> None:
    small = peak(repository, "pass")
    held = np.ones(small // 8 + 300 * MIB // 8)  # a parent that is larger than the child
    assert held.nbytes > small
    again = peak(repository, "pass")
    assert abs(again - small) < 60 * MIB
    large = peak(repository, f"a = numpy.ones({200 * MIB // 8}); del a")
    assert 150 * MIB < large - small < 260 * MIB
