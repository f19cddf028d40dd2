# Everything a newcomer types. `make` alone says what there is.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test lint examples docs schemas bench clean

help:  ## show this
	@awk -F ':.*##' '/^[a-z]+:.*##/ { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMP)  ## gate two small models live: one promoted, one stopped (about two minutes)
	@$(BIN)/python pipelines/demo.py

test: $(STAMP)  ## run every test but training
	$(BIN)/python -m pytest -m "not training" -n 2

lint: $(STAMP)  ## ruff, its formatter, and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

examples: $(STAMP)  ## run every command shown in README.md and docs/, and compare what it prints
	$(BIN)/python -m pytest -q tests/test_readme.py

docs: $(STAMP)  ## build the documentation as a site into build/site; a dead link fails
	$(BIN)/python -m mkdocs build --strict

schemas: $(STAMP)  ## rewrite evals/schemas after a model of what users write has changed
	$(BIN)/python -c 'from pathlib import Path; from canary.config import write_schemas; write_schemas(Path("evals/schemas"))'

bench: $(STAMP)  ## measure speed and memory; figures only, nothing fails
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit; done

clean:  ## remove what was built; runs/ and $(VENV) stay
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "canary-gate needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 2; }
	@echo "setting up $(VENV), once; this takes some minutes and 2 GB"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[assertions,ray,embeddings,mlflow,sign,github,dev]'
	@touch $@
