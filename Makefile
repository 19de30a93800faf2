# `make` lists what there is. PYTHON=python3.12 picks another Python, ARGS="seed=1 name=try" adds overrides to `make run`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ARGS   ?=
S      ?= b2_small_grid
PICK   ?= highest
WHAT   := -e ".[dev,tensorboard,openclip,fidelity,sweeps]"

# Compiled packages are kept in the environment even where Python is told to keep none, as containers often do: each start
# would compile thousands of files again, for ten seconds.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run pskd sweep test test-all test-lowest kill-test reward-server tiny-sd bench lint doctor dashboard clean

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make the virtual environment and install everything into it

run: $(STAMP)  ## set up what is missing, then train: B2-DiffuRL on the embedded model (ARGS="key=value ...")
	@$(BIN)/python -m src.run method=b2diffurl reward=clip $(ARGS)

pskd: $(STAMP)  ## train PS-KD on the embedded emoji pictures (ARGS="key=value ...")
	@$(BIN)/python -m src.run method=pskd $(ARGS)

sweep: $(STAMP)  ## a small grid on the embedded model, or S=<name> of experiments/sweep (ARGS="jobs=4 ...")
	@$(BIN)/python -m src.run sweep=$(S) $(ARGS)

test: $(STAMP)  ## set up what is missing, then run the tests (five to ten minutes on two cores)
	@$(BIN)/python -m pytest -m "not slow and not gpu" -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test-all: $(STAMP)  ## the slow tests too
	@$(BIN)/python -m pytest

test-lowest:  ## the tests with the oldest packages that pyproject.toml allows, in .venv-lowest
	@$(MAKE) --no-print-directory test VENV=.venv-lowest PICK=lowest-direct

kill-test: $(STAMP)  ## kill runs of both methods N=50 times, continue them, compare with undisturbed runs (ARGS="--seed 1")
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.kills $(or $(N),50) $(ARGS)

reward-server: $(STAMP)  ## serve a reward to runs with reward=http (ARGS="reward=hps port=8085 host=0.0.0.0")
	@$(BIN)/python -m src.rewards.server $(or $(ARGS),reward=clip port=8085)

tiny-sd: $(STAMP)  ## train the embedded Stable Diffusion anew (about 40 minutes on two cores; replaces its weights)
	@for part in verifier clip autoencoder unet; do $(BIN)/python -m src.run method=tiny_$$part $(ARGS) || exit 1; done

bench: $(STAMP)  ## measure everything in turn: ratios, a table and a figure in experiments/bench (ARGS="--only pskd")
	@$(BIN)/python -m src.bench $(ARGS)

lint: $(STAMP)  ## check the style with ruff
	@$(BIN)/ruff check .

doctor: $(STAMP)  ## say what of this machine is ready: torch, accelerator, disk, hub, wandb
	@$(BIN)/python -m src.core.doctor

dashboard: $(STAMP)  ## browse the recorded runs in the terminal, without a network
	@test -d outputs/wandb || { echo "Nothing recorded yet: make run"; exit 1; }
	@{ test -t 1 && true < /dev/tty; } 2>/dev/null || { echo "The dashboard needs a terminal; the figures are in outputs/latest/metrics.json"; exit 1; }
	@$(BIN)/wandb leet outputs/wandb

clean:  ## remove the virtual environment and caches (outputs/ stays)
	@rm -rf $(VENV) .venv-lowest .pytest_cache .ruff_cache *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found: install Python 3.11 or newer, or name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is $$($(PYTHON) --version): 3.11 or newer is needed. Name one: make PYTHON=python3.12"; exit 1; }
	@echo "Setting up $(VENV): torch and friends, about 3 GB, 1 to 10 minutes the first time."
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) \
	  || { echo "$(PYTHON) -m venv failed: on Debian and Ubuntu, apt install python3-venv"; rm -rf $(VENV); exit 1; }
	@{ $(BIN)/pip install --quiet --disable-pip-version-check uv && $(BIN)/uv pip install --quiet --python $(BIN)/python --resolution $(PICK) $(WHAT); } \
	  || { test $(PICK) = highest && echo "uv could not do it, installing with pip (slower)." && $(BIN)/pip install --quiet --disable-pip-version-check $(WHAT); }
	@touch $@
