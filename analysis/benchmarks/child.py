"""A part of a benchmark in a process of its own, whose peak memory and threads are no other's."""

import json
import subprocess
import sys
from typing import Any

from analysis.benchmarks.measurement import REPOSITORY


def in_a_process(module: str, function: str, *arguments: object) -> Any:
    """What `function` of `module` prints last, as JSON. RuntimeError with the last line of a failure."""
    program = f"from {module} import {function}; {function}(*{arguments!r})"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{function}{arguments}: {(done.stderr.splitlines() or ['no output'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])
