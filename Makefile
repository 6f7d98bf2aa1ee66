# Everything a person types. Each target sets up what it needs; only Python and make have to be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up

.PHONY: setup demo docs test test-faults lint format bench bench-peers audit clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 13), "Python 3.11 or 3.12 is needed: make PYTHON=python3.12"'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	# torch first: later packages then leave it alone.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: setup
	$(BIN)/unimol2 demo --out runs/demo

test: setup
	$(BIN)/pytest -n 2 --dist loadfile

# The site, in site/; a warning is an error.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Twenty SIGKILLs of one run; takes a few minutes.
test-faults: setup
	$(BIN)/pytest tests/fault -m exhaustive -s

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	for name in outer_product model_profile throughput loading; do $(BIN)/python benchmarks/$$name.py || exit 1; done
	$(BIN)/python -m benchmarks.conformers --without-peer --molecules 100

# Makes the peer's environment on the first run; takes about twenty minutes.
bench-peers: setup
	$(BIN)/python benchmarks/against_unimol_tools.py

# Asks for known holes in the pinned versions; needs the internet.
audit: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit pip-licenses
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip
	$(BIN)/pip-licenses --from=mixed --summary

clean:
	rm -rf $(VENV) dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .unimol2
