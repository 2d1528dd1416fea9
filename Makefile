# PYTHON and VENV choose another interpreter: make test PYTHON=python3.8 VENV=.venv-3.8
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: help demo demo-subscribers demo-contact test how-long coverage check faults bench lock audit clean

help: ## list what make can do here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s%s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/installed ## run sync.py against made-up companies
	$(BIN)/python -m sandbox sync.py

demo-subscribers: $(VENV)/installed ## run sync_subscribers.py against made-up people
	$(BIN)/python -m sandbox sync_subscribers.py --first-run

demo-contact: $(VENV)/installed ## run create_contact.py against a made-up account
	$(BIN)/python -m sandbox create_contact.py

test: how-long $(VENV)/installed-dev ## run all tests, in about three minutes on two cores
	$(BIN)/python -m pytest --numprocesses auto

coverage: $(VENV)/installed-dev ## see that the tests reach the code, with those that reach something new
	$(BIN)/python -m pytest --numprocesses auto -m "not no_cover" --cov --cov-report=
	$(BIN)/python -m coverage report --fail-under=95
	$(BIN)/python -m coverage report --include=$$($(BIN)/python -m tests.layers) --fail-under=100

how-long:
	@echo "The tests take about three minutes on two cores, and what they need is set up first."

check: $(VENV)/installed-dev ## check lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .

faults: $(VENV)/installed-dev ## print what a run comes to when a service fails
	$(BIN)/python -m tests.fault_matrix

bench: $(VENV)/installed-dev ## measure how fast it is, in about an hour
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmark/requirements.txt
	$(BIN)/python -m benchmark

lock: $(VENV)/installed ## renew requirements.lock: exact versions with checksums, for Python 3.10 and newer
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-annotate \
		--custom-compile-command "make lock" --upgrade --output-file requirements.lock requirements.txt

audit: $(VENV)/installed ## compare requirements.lock with the published advisories
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --disable-pip --require-hashes --requirement requirements.lock

clean: ## remove what make has made, .venv included
	rm -rf $(VENV) .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
