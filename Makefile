# Everything runs in one virtual environment below the checkout; `make demo` and `make test` need nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint servers reference clean

demo: $(STAMP) servers
	$(BIN)/locant demo $(DEMO_FLAGS)

test: $(STAMP) servers lint
	LOCANT_VICTORIA_METRICS="$$(tests/tools/fetch_victoria_metrics.sh $(VENV)/victoria-metrics)" \
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/reference.py --check
	$(BIN)/python tools/deploy.py --check

# Prometheus, Alertmanager, promtool and amtool: real servers prove what we generate.
servers:
	@tools/install-servers

# The pages that are made from the code; CI refuses a difference.
reference: $(STAMP)
	$(BIN)/python tools/reference.py
	$(BIN)/python tools/deploy.py

# torch first and by exact version: that is the CPU build where the index offers one.
$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[demo,dev]'
	touch $@

clean:
	rm -rf $(VENV) out .mypy_cache .ruff_cache .pytest_cache .hypothesis
