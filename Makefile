# make demo, make test: both set everything up. Windows, and machines without make: see README.md.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3,$(shell command -v $(name))))
DATASET ?= simulated
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.PHONY: help demo test test-full lab release assignments lint system-packages

help:
	@echo "make demo                   the whole course once, on a simulated screen"
	@echo "make demo DATASET=papalexi  the same on a real screen"
	@echo "make test                   the tests; make test-full adds the slow ones"
	@echo "make lab                    the students' notebooks in JupyterLab"
	@echo "make release                your course: data, hidden truth and notebooks by course.toml"
	@echo "make assignments            only the students' notebooks, from solutions/"
	@echo "make lint                   ruff"

demo: $(VENV)/.kit system-packages
	@$(BIN)/python demo.py --dataset $(DATASET)

test: $(VENV)/.test system-packages
	@$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow" -q

test-full: $(VENV)/.test system-packages
	@$(BIN)/python -m pytest -n auto --dist worksteal -q

lab: $(VENV)/.kit
	@$(BIN)/jupyter lab --notebook-dir assignments

release: $(VENV)/.kit
	@$(BIN)/autograder release

assignments: $(VENV)/.kit
	@$(BIN)/autograder release --notebooks

lint: $(VENV)/.test
	@$(BIN)/ruff check && $(BIN)/ruff format --check

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
	  || { echo "the kit needs Python 3.11 or 3.12; name one with: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make $(VENV); on Debian: apt install python3-venv" >&2; exit 2; }

$(VENV)/.kit: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing the kit into $(VENV) (about 2 minutes)"
	@$(PIP) --editable ".[student,instructor,data]"
	@touch $@

$(VENV)/.test: $(VENV)/.kit
	@echo "installing what the tests need into $(VENV)"
	@$(PIP) --editable ".[student,instructor,data,test]"
	@touch $@

# Grading runs students' code in bubblewrap. Without it everything else works, and grading says what is missing.
system-packages:
	@if ! command -v bwrap >/dev/null && [ -f /etc/debian_version ] && [ "$$(id -u)" = 0 ]; then \
	  echo "installing bubblewrap, the sandbox for grading, with apt-get"; \
	  { apt-get install -y -qq bubblewrap || { apt-get update -qq && apt-get install -y -qq bubblewrap; }; } >/dev/null; \
	fi
