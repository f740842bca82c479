# make demo, make test: both set up what they need. Windows, and machines without make: see README.md.

# The first that the kit runs on; the first name is the version that most was tested with.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3; do \
  $$name -c '$(FITS)' 2>/dev/null && { command -v $$name; break; }; done)
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))
DATASET ?= simulated
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.PHONY: help demo test test-quick test-full lab release assignments student-kit wheels bench lint docs system-packages

help:
	@echo "make demo                   the whole course once, on a simulated screen"
	@echo "make demo DATASET=papalexi  the same on a real screen; k562, rpe1, norman: larger ones (a network, 350 MB and more)"
	@echo "make test                   the tests; make test-full adds the slow ones"
	@echo "make test-quick             the tests of what you changed; make test-quick ROOM=starter/scoring those of a room"
	@echo "make lab                    the students' notebooks in JupyterLab, as copies in lab/"
	@echo "make lab DATASET=papalexi   the same on the cells of that demo, as copies in lab/papalexi/"
	@echo "make release                your course: data, hidden truth and notebooks by course.toml"
	@echo "make student-kit            what students get, in one archive"
	@echo "make wheels                 all that a student installs, in wheels/, for rooms without a network (docs/install.md)"
	@echo "make assignments            only the students' notebooks, from solutions/"
	@echo "make bench                  speed and memory of scoring, beside other tools (two hours); make bench SIZE=small"
	@echo "make docs                   these documents as a site, with the notebooks' figures (about 17 minutes; then about one)"
	@echo "make lint                   ruff, and pyright for the types (a minute)"

demo: $(VENV)/.demo system-packages
	@$(BIN)/python demo.py --dataset $(DATASET)

# Workers of one thread, and one more than cores: those that grade wait for their sandboxes.
WORKERS = $$($(BIN)/python -c 'import os; print(len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else os.cpu_count())')
test test-quick test-full: export OMP_NUM_THREADS = 1
test test-quick test-full: export OPENBLAS_NUM_THREADS = 1
# What Python compiles of the tests and of the kit is kept for all workers, wherever the environment says otherwise.
test test-quick test-full: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.test system-packages
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow" -q -rs --durations=25

test-quick: $(VENV)/.test
	@tests=$$($(BIN)/python tests/touched.py $(ROOM)) && \
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow" -q $$tests

test-full: $(VENV)/.test system-packages
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q -rs

# On a data set that is named, else on the released course, else on the simulated demo.
lab: $(VENV)/.kit
	@folder=lab; made=$$(ls -d demo/$(DATASET)/data/*/ 2>/dev/null | head -n 1); \
	if [ "$(origin DATASET)" = "command line" ]; then \
	  if [ -z "$$made" ]; then echo "run make demo DATASET=$(DATASET) first: it makes the data" >&2; exit 2; fi; \
	  folder=lab/$(DATASET); export VCC_COURSE="$(CURDIR)/$$made"; echo "the notebooks will use $$made"; \
	elif [ -z "$$VCC_COURSE" ] && ! ls data/*/train.h5ad >/dev/null 2>&1; then \
	  if [ -z "$$made" ]; then \
	    echo "there is no course data yet: run make demo first (or make release, as an instructor)" >&2; exit 2; \
	  fi; \
	  export VCC_COURSE="$(CURDIR)/$$made"; echo "no course is released here: the notebooks will use the demo's data"; \
	fi; \
	mkdir -p $$folder && cp -rn assignments/. $$folder/ && \
	echo "your copies of the notebooks are in $$folder/; they are never replaced"; \
	$(BIN)/jupyter lab --notebook-dir $$folder $$([ "$$(id -u)" = 0 ] && echo --allow-root)

release: $(VENV)/.kit
	@$(BIN)/autograder release

assignments: $(VENV)/.kit
	@$(BIN)/autograder release --notebooks

bench: $(VENV)/.test
	@$(BIN)/python -m benchmarks.scoring $(foreach size,$(SIZE),--size $(size))

lint: $(VENV)/.test
	@$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/.docs
	@$(BIN)/python docs/site/figures.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "the site is in build/site/; to read it: $(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site"

$(VENV)/bin/python:
	@$(or $(PYTHON),false) -c '$(FITS)' \
	  || { echo "the kit needs Python 3.11 to 3.14; name one with: make PYTHON=/path/to/python3.13" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -f $@; echo "cannot make $(VENV); on Debian: apt install python3-venv" >&2; exit 2; }

# The demo does without torch, whose default build may weigh more than all the rest (README.md: torch).
$(VENV)/.demo: EXTRAS := instructor,data
$(VENV)/.kit: EXTRAS := student,instructor,data
$(VENV)/.docs: EXTRAS := student,instructor,data,docs
$(VENV)/.test: EXTRAS := student,instructor,data,docs,test
$(VENV)/.demo $(VENV)/.kit $(VENV)/.docs $(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing the kit into $(VENV): $(EXTRAS) (a minute or two)"
	@$(PIP) --editable ".[$(EXTRAS)]"
	@touch $@

student-kit: $(VENV)/.kit
	@$(BIN)/autograder student-kit

# For machines like this one, or for others: PLATFORM=win_amd64 and FOR=3.12, as pip names them. TORCH is the index with the
# build of torch.
WHEELS := wheels
TORCH ?= https://download.pytorch.org/whl/cpu
FOR ?= 3.11
OTHER = $(if $(PLATFORM),--only-binary=:all: --platform $(PLATFORM) --python-version $(FOR))
DOWNLOAD := $(BIN)/python -m pip download --disable-pip-version-check --quiet --dest $(WHEELS)
wheels: | $(VENV)/bin/python
	@mkdir -p $(WHEELS)
	@$(BIN)/python -c 'import tomllib; of = tomllib.load(open("pyproject.toml", "rb")); \
	print(*of["build-system"]["requires"], *of["project"]["dependencies"], \
	*of["project"]["optional-dependencies"]["student"], sep="\n")' > $(WHEELS)/requirements.txt
	@$(DOWNLOAD) $(OTHER) --no-deps --index-url $(TORCH) $$(grep "^torch==" constraints.txt)
	@$(DOWNLOAD) $(OTHER) --find-links $(WHEELS) --constraint constraints.txt --requirement $(WHEELS)/requirements.txt
	@echo "$(WHEELS)/: $$(ls $(WHEELS)/*.whl | wc -l) packages, $$(du -sh $(WHEELS) | cut -f 1); how to install from it: docs/install.md"

# Grading runs students' code in bubblewrap; the tests also run the reference tool, which packs with zstd. Without them
# everything else works, and says what is missing.
system-packages:
	@missing=""; \
	for program in bwrap:bubblewrap zstd:zstd; do command -v $${program%%:*} >/dev/null || missing="$$missing $${program##*:}"; done; \
	if [ -n "$$missing" ] && [ -f /etc/debian_version ] && [ "$$(id -u)" = 0 ]; then \
	  echo "installing$$missing with apt-get (bubblewrap is the sandbox for grading)"; \
	  { apt-get install -y -qq $$missing || { apt-get update -qq && apt-get install -y -qq $$missing; }; } >/dev/null 2>&1 \
	    || echo "could not install$$missing; what needs it will be left out"; \
	fi
