# Holmia: `make demo` shows it, `make test` proves it. Everything is set up on the way, into .venv/ only.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/bash

.PHONY: help setup test lint demo bench validate soak fuzz screens lock clean

help:
	@echo "make setup    install everything into .venv/ (Debian packages too, when root)"
	@echo "make demo     a phantom treatment: scanner, listener and console; leaves demo-output/"
	@echo "make test     all tests"
	@echo "make lint     ruff, mypy, import-linter"
	@echo "make bench    timings, longer than the tests"
	@echo "make validate  what the figures are worth on phantoms with known truth: writes docs/validation.md; half an hour"
	@echo "make soak     listener and window for an hour or two: kills, attacks, associations, replays, memory; SOAK=0.01 for a taste"
	@echo "make fuzz     the readers against bytes that coverage guides; FUZZ_S=60 seconds a reader"
	@echo "make screens  the pictures in docs/, from the phantom"
	@echo "make lock     renew requirements.lock (needs uv)"

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" bash scripts/setup.sh
	@touch $@

test: setup
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -q

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

demo: setup
	@$(BIN)/holmia demo --out demo-output

bench: setup
	@$(BIN)/python -m benchmarks

validate: setup
	@$(BIN)/python -m benchmarks.validation

soak: setup
	@$(BIN)/python -m benchmarks.soak --scale $(or $(SOAK),1)

fuzz: setup
	@$(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check install -q --require-hashes --no-deps -r requirements-fuzz.lock
	@$(BIN)/python -m benchmarks.fuzz --seconds $(or $(FUZZ_S),60)

screens: setup
	@$(BIN)/python docs/make_screens.py --all

lock:
	@uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header --no-annotate -o requirements.lock
	@echo "atheris>=3.0,<3.1" | uv pip compile - --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header --no-annotate -o requirements-fuzz.lock

clean:
	@rm -rf $(VENV) demo-output build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
