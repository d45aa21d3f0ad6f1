# The two commands: `make` (the study, from nothing to the PDF) and `make test`. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := reproduce

VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough; `make PYTHON=/path/to/python3.12` overrides.
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell $(p) -c \
	'import sys; sys.version_info >= (3, 11) and print("$(p)")' 2>/dev/null)))
PROFILE ?=
CORES ?= all
LATEX ?= auto
SANDBOX ?= auto
CHROMIUM ?= auto
PYTEST_ARGS ?= --numprocesses auto

export PATH := $(CURDIR)/$(BIN):$(PATH)
# Settings that would send packages elsewhere than into the environment, or code into it.
unexport PYTHONPATH PYTHONHOME PIP_USER PIP_TARGET PIP_PREFIX

PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES) $(if $(PROFILE),--config profile=$(PROFILE))
SOURCES := harc tests benchmarks scripts snakemake_logger_plugin_harc setup.py
TORCH := $(shell sed -n 's/^\# torch==//p' requirements.lock)

.PHONY: reproduce study real test lint coverage docs venv latex sandbox browser data lock clean help

reproduce: venv latex  ## run the whole study: data, training, evaluation, figures, tables, PDF, report, audit
	$(SNAKEMAKE)
	@scripts/get_latex.sh hint

study: venv latex  ## run the committed study, refresh results/reference and the README
	$(BIN)/snakemake --cores $(CORES) --config profile=organism_study
	$(BIN)/harc reference --profile organism_study --name organism
	$(BIN)/python benchmarks/update_documents.py

real: venv latex sandbox  ## run the study on real chat models, or go on with it: many hours of two cores, in any number of sittings
	$(BIN)/python scripts/run_study.py smol $(if $(HOURS),--hours $(HOURS))

test: venv latex sandbox browser  ## set up as above, then run the tests (fast ones; `.venv/bin/pytest -m slow` for the others)
	$(BIN)/pytest $(PYTEST_ARGS)

lint: venv  ## check style, types, layers and workflow
	$(BIN)/ruff check $(wildcard $(SOURCES))
	$(BIN)/ruff format --check $(wildcard $(SOURCES))
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/draw_rooms.py --check
	$(BIN)/python scripts/write_citation.py --check
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

coverage: venv  ## run the tests again and print how much of harc/ they reach (about twice as long)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --skip-empty

docs: venv  ## build the documentation site into site/ (open site/index.html)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

venv: $(VENV)/.project-installed  ## make .venv and install the locked packages and this project

$(VENV)/.python-ready:
	@[ -n "$(PYTHON)" ] || { echo "python3: expected version 3.11 or newer; found $$(python3 --version 2>&1 || true);" \
		"install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

# torch first and by its own rule (see the script); the lock holds everything else, by its hashes.
$(VENV)/.locked-installed: requirements.lock scripts/install_torch.sh | $(VENV)/.python-ready
	@echo "Installing the packages of requirements.lock into $(VENV) (some minutes, about 2 GB)"
	scripts/install_torch.sh $(BIN)/python $(TORCH)
	$(PIP) --no-deps --require-hashes --requirement requirements.lock
	touch $@

$(VENV)/.project-installed: pyproject.toml $(VENV)/.locked-installed
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@

latex:  ## install LaTeX if it is missing and this account may (LATEX=no leaves it alone)
	@scripts/get_latex.sh $(LATEX)

sandbox:  ## install bubblewrap if it is missing and this account may (SANDBOX=no leaves it alone)
	@scripts/get_program.sh $(SANDBOX) bwrap bubblewrap SANDBOX

browser:  ## install Chromium, in which a test opens the report, likewise (CHROMIUM=no leaves it alone)
	@scripts/get_program.sh $(CHROMIUM) chromium,google-chrome chromium CHROMIUM

data: venv  ## rebuild the embedded dataset and refresh its pins (data.dvc, manifest, dvc-remote)
	$(BIN)/harc data build
	$(BIN)/harc data pin

lock: venv  ## resolve pyproject.toml into requirements.lock and environment.yml again
	$(BIN)/python scripts/lock.py

clean:  ## remove what the workflow wrote (not the environment, not results/reference)
	rm -rf .snakemake logs paper/generated paper/main.pdf
	if [ -d results ]; then find results -mindepth 1 -maxdepth 1 ! -name reference -exec rm -rf {} +; fi

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | awk -F'\t' '{ printf "  make %-10s %s\n", $$1, $$2 }'
	@echo "  PROFILE=smol make   chooses a profile (config/profiles); CORES=4 limits the cores"
	@echo "  HOURS=3 make real   begins no further models after three hours"
