"""Tests of the suite. One thread each: workers that share the cores would otherwise wait for each other's threads."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
