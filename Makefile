# Needs make, Python 3.11+ and Java 17+; the tests need Go as well. Everything else is fetched.
#   make demo [INPUT=FILE]   set up and take a small campus (and a file of xAPI statements) to tables
#   make stream-demo [ARGS='--seconds 60']   the same live: Kafka to tables; needs Go as well
#   make test                set up, services included, and run every check and test
BIN := .venv/bin
CONSTRAINTS := infra/setup/constraints.txt
# Each takes a core, 2 GB of memory and services of its own.
WORKERS ?= 2
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.PHONY: help demo stream-demo test setup java jars services lint bench lock clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile
	@echo 'make setup | services | lint | bench | lock | clean'

demo: setup
	@$(BIN)/lmslake demo $(if $(INPUT),--input "$(INPUT)")

stream-demo: setup services
	@$(BIN)/lmslake stream-demo $(ARGS)

test: setup services lint
	@echo '==> tests'
	@$(BIN)/python -m pytest -q --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder \
		$(ARGS)

setup: java .venv/installed jars

java:
	@test -n "$(PYTHON)" || { echo 'Error: Python 3.11 or newer is needed, with its venv module:'; \
		echo '  Debian, Ubuntu   sudo apt-get install python3 python3-venv'; \
		echo '  macOS            brew install python@3.12'; exit 1; }
	@$(PYTHON) -m lake.java

.venv/installed: pyproject.toml $(CONSTRAINTS)
	@echo '==> Python packages into .venv (first time: 1 to 3 minutes)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
		echo 'Error: no venv. Debian, Ubuntu: sudo apt-get install python3-venv'; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint $(CONSTRAINTS) --editable '.[dev]'
	@touch $@

jars: .venv/installed
	@echo '==> JARs for Spark'
	@$(BIN)/python -m infra.setup.jars

services: .venv/installed
	@echo '==> services for the tests (MinIO, Kafka)'
	@$(BIN)/python -m infra.services.install

lint: .venv/installed
	@echo '==> style'
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@echo '==> types'
	@$(BIN)/mypy
	@echo '==> generated documentation is current'
	@$(BIN)/lmslake docs --check

bench: setup
	@$(BIN)/python -m benchmarks.raw_to_gold $(ARGS)

lock: .venv/installed
	@$(BIN)/python -m infra.setup.lock > $(CONSTRAINTS).new && mv $(CONSTRAINTS).new $(CONSTRAINTS)

clean:
	rm -rf .venv *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
