# `make demo` first. PYTHON and VENV choose another interpreter: make test PYTHON=python3.8 VENV=.venv-3.8
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo demo-subscribers demo-contact test check faults bench clean

demo: $(VENV)/installed
	$(BIN)/python -m sandbox sync.py

demo-subscribers: $(VENV)/installed
	$(BIN)/python -m sandbox sync_subscribers.py --first-run

demo-contact: $(VENV)/installed
	$(BIN)/python -m sandbox create_contact.py

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest --cov --cov-report=
	$(BIN)/python -m coverage report --fail-under=95
	$(BIN)/python -m coverage report --include=$$($(BIN)/python -m tests.layers) --fail-under=100

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .

faults: $(VENV)/installed-dev
	$(BIN)/python -m tests.fault_matrix

bench: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmark/requirements.txt
	$(BIN)/python -m benchmark

clean:
	rm -rf $(VENV) .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
