# Each target sets up what it needs; only Python 3.11 to 3.13 and make are assumed.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
RUN := $(VENV)/bin

.PHONY: demo test test-all lint format docs paper beyond bench bench-long compare clean help

help:            ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

$(VENV)/.installed: pyproject.toml
	@echo "Installing into $(VENV), some minutes the first time"
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --upgrade pip
	$(RUN)/python -m pip install --quiet -e ".[dev]"
	touch $@

demo: $(VENV)/.installed      ## 3x3 dissipative Ising model next to the exact answer: demo/run.nc, demo/run.png
	$(RUN)/husimix demo --directory demo

test: $(VENV)/.installed      ## the tests that CI runs
	$(RUN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-all: $(VENV)/.installed  ## all tests
	$(RUN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.installed      ## style and types
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/pyright

format: $(VENV)/.installed    ## put the code into the house style
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

docs: $(VENV)/.installed      ## the documentation as HTML in docs/_build
	$(RUN)/python -m pip install --quiet -e ".[docs]"
	$(RUN)/python -m sphinx -W --keep-going -b html docs docs/_build

paper: $(VENV)/.installed     ## the claims of the paper, checked: table and figures in examples/paper/results
	$(RUN)/python -m pip install --quiet -e ".[bench]"
	for claim in chain square large parameters report; do $(RUN)/python examples/paper/$$claim.py || exit 1; done

beyond: $(VENV)/.installed    ## what the paper does not have: figures in examples/beyond/results
	for script in quench_32x32 xyz_transition disorder_8x8 bistability; do \
	  $(RUN)/python examples/beyond/$$script.py || exit 1; done

bench: $(VENV)/.installed     ## accuracy, time and scaling of both ansaetze: tables in benchmarks/results, 10 minutes
	$(RUN)/python -m pip install --quiet -e ".[bench]"
	for script in clusters runs kernels scaling; do $(RUN)/python benchmarks/$$script.py || exit 1; done

compare: $(VENV)/.installed   ## other methods on the same problems: benchmarks/results/comparison.md, peers.md, 12 minutes
	$(RUN)/python -m pip install --quiet -e ".[bench]"
	for script in comparison peers; do HUSIMIX_CACHE=off $(RUN)/python benchmarks/$$script.py || exit 1; done

bench-long: $(VENV)/.installed  ## all other tables: accuracy 3, steady 10, trust 10, tolerance 15, tying 80 minutes
	$(RUN)/python -m pip install --quiet -e ".[bench]"
	for script in accuracy steady trust tolerance tying; do HUSIMIX_CACHE=off $(RUN)/python benchmarks/$$script.py || exit 1; done

clean:           ## remove what the targets made, except results
	rm -rf $(VENV) docs/_build docs/jupyter_execute demo build dist .pytest_cache .ruff_cache .hypothesis
