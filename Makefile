# Two commands do everything: `make run` and `make test`. The rest is for people who build Leafloop.
SHELL := /bin/bash
PYTHON ?= python3
RUN := .venv
TEST := .venv-test
TRAIN := .venv-train
BENCH := .venv-bench
TESTS ?= tests
OUT ?= figures.json

.PHONY: run test test-slow lint types coverage docs texts requirements train-env bench-inference bench-feedback clean help

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: $(RUN)/.ready ## set up and start the service; stays in the foreground
	@exec $(RUN)/bin/leafloop serve

test: $(TEST)/.ready lint types ## set up, then run the checks and the tests
	$(TEST)/bin/python -m pytest -n 2 --dist loadfile -m "not slow" $(TESTS)

test-slow: $(TEST)/.ready ## the tests that take long or load the machine
	$(TEST)/bin/python -m pytest -n 2 --dist loadfile -m "slow and not alone" $(TESTS)
	$(TEST)/bin/python -m pytest -m alone $(TESTS)

lint: $(TEST)/.ready
	$(TEST)/bin/ruff check src tests scripts benchmarks
	$(TEST)/bin/ruff format --check src tests scripts benchmarks
	$(TEST)/bin/lint-imports

types: $(TEST)/.ready
	$(TEST)/bin/mypy

coverage: $(TEST)/.ready ## the tests with a coverage report
	$(TEST)/bin/python -m pytest -n 2 --dist loadfile -m "not slow" --cov --cov-report=term-missing $(TESTS)

docs: $(TEST)/.ready ## write the generated pages again (docs/ENVIRONMENT.md, .env.example, docs/CLI.md, ...)
	$(TEST)/bin/python scripts/docs.py

texts: $(TEST)/.ready ## collect the pages' texts, compile the catalogues, and list what is not translated
	$(TEST)/bin/python scripts/texts.py

requirements: $(TEST)/.ready ## resolve requirements/*.txt again, with hashes
	$(PYTHON) scripts/requirements.py

train-env: $(TRAIN)/.ready ## the light CPU environment that trains

bench-inference: $(BENCH)/.ready ## set up, then measure beside the usual way: OUT=figures.json (docs/BENCHMARKS.md)
	$(BENCH)/bin/python -m benchmarks.inference --out $(OUT)

bench-feedback: $(TEST)/.ready ## how many words on answers are kept in a second, on SQLite and PostgreSQL
	$(TEST)/bin/python -m benchmarks.feedback

clean: ## remove the environments and what the tools left
	rm -rf $(RUN) $(TEST) $(TRAIN) $(BENCH) .bench build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(RUN)/.ready: requirements/serve.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Leafloop needs Python 3.11 or newer; this is %d.%d. Say which to use: make run PYTHON=python3.12" % sys.version_info[:2])'
	@echo "Setting up $(RUN) (once, about a minute) ..." >&2
	@$(PYTHON) -m venv $(RUN)
	@$(RUN)/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/serve.txt
	@$(RUN)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(TEST)/.ready: requirements/test.txt pyproject.toml
	@$(PYTHON) -m venv $(TEST)
	@# The lists are complete, so pip need not resolve: it would look at newer releases of what an extra names, and refuse them.
	@$(TEST)/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/test.txt
	@$(TEST)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(TRAIN)/.ready: requirements/train.txt pyproject.toml
	@$(PYTHON) -m venv $(TRAIN)
	@$(TRAIN)/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(TRAIN)/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements/train.txt
	@$(TRAIN)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(BENCH)/.ready: requirements/bench.txt requirements/serve.txt pyproject.toml
	@echo "Setting up $(BENCH) (once, a few minutes: torch, Ultralytics, SAHI, supervision) ..." >&2
	@$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(BENCH)/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/serve.txt
	@$(BENCH)/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements/bench.txt
	@$(BENCH)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
