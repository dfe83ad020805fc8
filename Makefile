# make demo   paints a photograph: leaves demo/content.png, demo/style.png and demo/painting.png
# make test   runs the whole test suite
# make lint   ruff, mypy and the layers of the house
# make bench  measures impasto beside two other packages: hours, or minutes with ARGS=--quick (benchmarks/README.md)
# make clean  removes the environment, the demo and what tools left behind
#
# All but the last make the environment (.venv) by themselves: the demo installs the package alone, the others what tests
# need as well. PYTHON=python3.12 chooses the interpreter.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
READY := $(VENV)/ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11 python
# Workers of the test run, one thread each: more only crowd each other out.
WORKERS ?= 4

.PHONY: demo test lint bench clean

demo: $(INSTALLED)
	$(BIN)/impasto demo --output demo --force

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses $(WORKERS) --dist worksteal $(ARGS)

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python benchmarks/bench.py $(ARGS)

# Made anew only when the project file has changed since. The package is installed in place: edits count at once.
$(READY): $(INSTALLED)
	$(PIP) '.[dev]'
	@touch $(READY)

$(INSTALLED): pyproject.toml constraints.txt
	@for python in $(PYTHON); do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "impasto needs Python 3.11 or newer, and none of these is one: $(PYTHON). Say where it is: make PYTHON=/path/to/python3" >&2; \
	  exit 2; \
	fi; \
	echo "making $(VENV) with $$($$found --version) (the first time downloads torch)"; \
	$$found -m venv $(VENV) || { \
	  rm -rf $(VENV); \
	  echo "$$found cannot make an environment: install its venv module (Debian, Ubuntu: apt install python3-venv)" >&2; \
	  exit 2; \
	}
	$(PIP) .
	@touch $(INSTALLED)

clean:
	rm -rf $(VENV) .bench demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
