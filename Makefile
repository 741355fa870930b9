# The two commands of a newcomer are `make repro` and `make test`; `make` alone lists them all.
# Linux and macOS, GNU make ≥ 3.81. Another interpreter: `make repro PYTHON=python3.12`.

PYTHON ?= python3
BIN    := .venv/bin
# One make at a time in this folder; the kernel drops the lock with the process that holds it
LOCKED := $(PYTHON) -P src/strokewise/support/file_lock.py .strokewise/make.lock
# What the environment was built from, and where: a moved folder needs a new one, too
PINS   := { echo "$(CURDIR)"; cat requirements*.lock; sed "/^.tool/,\$$d" pyproject.toml; }

.PHONY: help repro test lint ui bench reference clean lock setup

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

repro: setup  ## set up and run the pipeline: paint, train, compare, explain, register
	@$(LOCKED) $(BIN)/dvc repro

test: setup  ## set up and pass the tests, on all cores
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: setup  ## format check, lint and types
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

ui: setup  ## compare the runs in the MLflow UI
	@$(BIN)/strokewise ui

bench: setup  ## measure speed, as ratios against named references
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit; done

reference: setup  ## train and pack the reference model of the package: some ten minutes
	@$(BIN)/python -m strokewise.reference train && $(BIN)/python -m strokewise.reference pack

clean:  ## remove what can be made again; mlflow.db, the DVC cache and your drawings stay
	@rm -rf .venv .strokewise data/paintings data/model data/baseline .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find data/report -mindepth 1 ! -name metrics.json -delete 2>/dev/null || true
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

lock: setup  ## renew the pins (requirements*.lock) and the schema of params.yaml
	@$(BIN)/uv pip compile --quiet --upgrade --universal --fork-strategy fewest --extra dev --generate-hashes \
		--no-emit-package torch --no-header --annotation-style=line --output-file requirements.lock pyproject.toml
	@# what the wheel needs to predict, for the container
	@$(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --constraint requirements.lock --generate-hashes \
		--no-header --annotation-style=line --output-file requirements-predict.lock pyproject.toml
	@# without hashes, as a release of torch has several builds, with and without CUDA, each at an index of its own
	@$(BIN)/uv pip compile --quiet --universal --extra dev --constraint requirements.lock --no-deps \
		--no-header --no-annotate pyproject.toml | sed -n 's/^\(torch==[0-9.]*\).*/\1/p' > requirements-torch.lock
	@$(BIN)/python -c 'from strokewise.params import json_schema; print(json_schema(), end="")' > .params.schema.json

setup:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "strokewise needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@$(LOCKED) sh -c '$(PINS) | cmp -s - .venv/pins || { \
		echo "setting up .venv (some minutes the first time)" && $(PYTHON) -m venv --clear .venv && \
		$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --requirement requirements.lock && \
		$(BIN)/python -m pip install --disable-pip-version-check --requirement requirements-torch.lock && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable . && \
		$(PINS) > .venv/pins; }'
