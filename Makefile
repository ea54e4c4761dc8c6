# make ablate: the paper's tables from a bare clone. make test: the suite. Both make and reuse .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
SERVERS := $(VENV)/.installed-servers

.PHONY: ablate test test-all lint reports clean

ablate: $(STAMP)
	$(BIN)/archlab ablate

test: $(DEV)
	$(BIN)/python -m pytest -n auto -m "not slow and not system"

test-all: $(SERVERS)
	$(BIN)/python -m pytest -n auto -m "slow or system"

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

reports: $(STAMP)
	$(BIN)/archlab report table1 table2 table6 table7 figure4 campaign

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(DEV): $(STAMP)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(SERVERS): $(DEV)
	$(BIN)/python -m pip install --quiet --editable '.[servers]'
	touch $@

clean:
	rm -rf $(VENV)
