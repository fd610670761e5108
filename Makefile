# The main targets are `make test` and `make demo`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
# Each worker runs neighboring tests, which share a stack, and takes over tests of a worker that is behind.
WORKERS := -n auto --dist worksteal
DEMO_ARGS ?=
CHAOS_ARGS ?=

.PHONY: help test demo lint types pytest coverage test-compose test-browser chaos golden docs bench clean

help:             ## show this help
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: .*##/:/'

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

test: lint types pytest   ## run ruff, mypy --strict, and pytest with warnings as errors

demo: $(VENV)/.installed   ## run the example's whole loop, without an API key or Docker; under 5 minutes
	$(BIN)/python -m examples.spec_to_review.demo $(DEMO_ARGS)

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

pytest: $(VENV)/.installed
	$(BIN)/python -m pytest $(WORKERS) $(PYTEST_ARGS)

coverage: $(VENV)/.installed   ## the tests once more, and a table of the lines that none of them reaches
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(WORKERS) $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-compose: $(VENV)/.installed   ## run the compose file, if a Docker engine answers
	$(BIN)/python tests/compose/run.py

test-browser: $(VENV)/.installed   ## attack a running stack from web pages in Chromium
	$(BIN)/python -m pytest tests/browser $(PYTEST_ARGS)

chaos: $(VENV)/.installed   ## inject faults (kills, full disks, silent streams) and count every acknowledged row (CHAOS_ARGS)
	PYTHONPATH=tests $(BIN)/python -m chaos $(CHAOS_ARGS)

golden: $(VENV)/.installed   ## rewrite the golden trees with the compiler's present output (read the diff)
	$(BIN)/python -m pytest tests/compiler/test_golden.py -n auto --write-golden

docs: $(VENV)/.installed     ## rewrite the parts of the docs that are generated from the code
	$(BIN)/python docs/write.py

bench: $(VENV)/.installed    ## print the ratios of docs/benchmarks.md
	$(BIN)/python -m benchmarks

clean:            ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
