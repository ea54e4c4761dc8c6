# make ablate: the paper's tables from a bare clone. make test: the suite. Both make and reuse .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
SERVERS := $(VENV)/.installed-servers
NEWEST := .venv-newest
LOCKING := .venv-lock

# The tested versions, for what is installed and for what builds it.
LOCK := requirements/lock.txt
INSTALL := PIP_CONSTRAINT=$(LOCK) PIP_BUILD_CONSTRAINT=$(LOCK) $(BIN)/python -m pip install --quiet --editable

# A file's tests share what they prepare, so that one process takes them all.
PYTEST := -m pytest -n auto --dist loadfile

.PHONY: ablate test test-all test-newest lint reports lock clean

ablate: $(STAMP)
	$(BIN)/archlab ablate --all
	$(BIN)/archlab index

test: $(DEV)
	$(BIN)/python $(PYTEST) -m "not slow and not system"

test-all: $(SERVERS)
	$(BIN)/python $(PYTEST) -m "slow or system"

# The suite against the newest releases that pyproject.toml allows.
test-newest: | $(NEWEST)/bin/python
	$(NEWEST)/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable '.[dev]'
	$(NEWEST)/bin/python $(PYTEST) -m "not slow and not system"

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

reports: $(STAMP)
	$(BIN)/archlab report table1 table2 table3 table4 table5 table6 table7 table8 section43 descendants figure1 figure2 figure4 \
	  figure4_all discrepancies camvid campaign campaign_lsp --reports reports
	$(BIN)/archlab index --reports reports

# The newest releases that pyproject.toml allows, for each Python; CUDA's libraries are left to torch, which pins them.
lock: | $(LOCKING)/bin/python
	$(LOCKING)/bin/python -m pip install --quiet --upgrade 'uv>=0.9,<1'
	$(LOCKING)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --no-annotate \
	  --no-emit-index-url --custom-compile-command 'make lock' --output-file $(LOCKING)/lock.txt pyproject.toml
	sed -E '/^(nvidia|cuda|triton)/d' $(LOCKING)/lock.txt > $(LOCK)

$(VENV)/bin/python $(NEWEST)/bin/python $(LOCKING)/bin/python:
	$(PYTHON) -m venv $(@D)/..

$(STAMP): pyproject.toml $(LOCK) | $(BIN)/python
	$(INSTALL) .
	touch $@

$(DEV): $(STAMP)
	$(INSTALL) '.[dev]'
	touch $@

$(SERVERS): $(DEV)
	$(INSTALL) '.[servers]'
	touch $@

clean:
	rm -rf $(VENV) $(NEWEST) $(LOCKING)
