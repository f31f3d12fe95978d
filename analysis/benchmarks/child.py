"""A part of a benchmark in a process of its own, whose peak memory and threads are no other's."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import ParamSpec, TypeVar

from hma_ft.launch.forkserver import PRELOADED

P = ParamSpec("P")
T = TypeVar("T")


def in_a_process(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What a function of a module returns, and raises, in a fork of a process that holds the imports alone.

    Raises concurrent.futures.process.BrokenProcessPool if the process is killed, as for want of memory.
    """
    multiprocessing.set_forkserver_preload(PRELOADED)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as process:
        return process.submit(function, *arguments, **named).result()
