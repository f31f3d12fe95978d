# make demo   set up, train on embedded data, show the result
# make test   set up, run every test
# make ui     compare the runs in MLflow
# make lint   format, style, types
# make soak   kill real runs two hundred times; each must end as if nothing had happened
# make bench  speed against named alternatives, into docs/BENCHMARKS.md

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNS ?= runs
export RUNS  # a path with any characters reaches the shell unharmed

.PHONY: demo test soak lint format ui bench

demo: $(VENV)/.installed
	$(BIN)/python run.py experiment=demo

# a third worker on two cores, as Slurm's tests mostly wait; one thread each, as more would wait for one another
test: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=30

soak: $(VENV)/.installed-test
	$(BIN)/python -m tests.faults.soak

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ui: $(VENV)/.installed
	@[ -d "$$RUNS" ] || { echo "$$RUNS is not a directory: train first, or give make ui RUNS=DIR"; exit 2; }
	mlflow="$$PWD/$(BIN)/mlflow" && cd "$$RUNS" && "$$mlflow" ui --backend-store-uri sqlite:///mlflow.db

bench: $(VENV)/.installed-bench
	$(BIN)/python -m analysis.benchmarks

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version): make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python setup.cfg pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@
