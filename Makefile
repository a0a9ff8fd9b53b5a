# One command for each everyday job. Every target builds .venv first if it is missing or older than the pins.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# On Linux every process here computes with one thread: two such processes side by side use two cores best.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help venv demo test check format ui frameworks lock clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

# uv is pinned like everything else; pip only fetches it, into the environment itself, so nothing is needed beforehand.
$(VENV)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, $$($(PYTHON) --version 2>&1) was found; name another with: make PYTHON=python3.12"; exit 1; }
	@echo "building $(VENV) from requirements.txt (once; about 4 GB)"
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check "$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.txt)"
	@$(VENV)/bin/uv pip sync --quiet --python $(RUN) --require-hashes --compile-bytecode requirements.txt
	@$(VENV)/bin/uv pip install --quiet --python $(RUN) --no-deps --no-build-isolation --editable .
	@touch $@

venv: $(VENV)/.installed  ## build the environment (every other target does so when needed)

demo: venv  ## train source only, DANN and target only on two built-in pairs; table, figures, MLflow
	@$(RUN) -m experiments run demo
	@$(RUN) -m results build demo

test: venv  ## run the whole test suite
	@$(RUN) -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

check: venv  ## format check, lint, types, import rules, then the tests
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m pyright
	@$(VENV)/bin/lint-imports
	@$(MAKE) --no-print-directory test

format: venv  ## let ruff format and mend what it can
	@$(RUN) -m ruff format .
	@$(RUN) -m ruff check --fix .

ui: venv  ## open the MLflow UI with this repository's runs on http://127.0.0.1:5000
	@$(RUN) -m experiments ui

frameworks: venv  ## test grl beside JAX, TensorFlow, the trainers of its recipes and the oldest admitted torch
	@$(RUN) -m tests.support.frameworks

lock: venv  ## resolve requirements.txt anew from pyproject.toml
	@$(VENV)/bin/uv pip compile pyproject.toml --group benchmark --group dev --universal --python-version 3.11 \
	    --generate-hashes --no-header --quiet --upgrade --output-file requirements.txt

clean:  ## remove the environment and the caches; runs and data stay
	@rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache
