# heapline: `make help` lists what there is. Needs python3 >= 3.11 and a package index, nothing else.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ROOMS  := heapline producers consumers state operations web cli devstack bench tests
ARGS   ?=
# Processes that run the tests. They wait more than they compute, and each starts a world of its own.
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test browser lint bench chaos dev docs reference wheels lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: requirements/dev.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "there is no $(PYTHON) here: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "heapline needs Python 3.11 or newer, and this is %d.%d: make PYTHON=/path/to/python3" % v[:2])'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "this python3 has no venv module: on Debian and Ubuntu install the package python3-venv" >&2; exit 1; }
	@echo "setting up $(VENV): about half a minute, once"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(VENV)/.ready ## the whole path on the embedded world, with a table at the end (ARGS="--keep")
	@$(BIN)/heapline demo $(ARGS)

test: lint ## every check and every test (ARGS="-k name"; WORKERS=0 runs them one by one)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

browser: ## Chromium for the browser tests, from Debian's packages (needs root)
	@if command -v chromium >/dev/null; then :; \
	elif ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ]; then \
	  echo "no chromium here, so the browser tests are skipped: as root, apt-get install chromium" >&2; \
	else apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium; fi

lint: $(VENV)/.ready ## ruff, mypy and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.ready ## speed and memory beside a baseline, about ten minutes (ARGS="--quick")
	@$(BIN)/python -m bench $(ARGS)

chaos: $(VENV)/.ready ## twenty rounds of trouble for the forwarder, a quarter of an hour (ARGS="--full")
	@$(BIN)/python -m tests.chaos.forwarder $(ARGS)

dev: $(VENV)/.ready ## the environment, and the embedded world running in the background
	@$(BIN)/heapline dev up

docs: $(VENV)/.ready ## the documentation as a site in build/docs, warnings as errors
	@$(BIN)/python -m mkdocs build --quiet
	@echo "build/docs/index.html"

reference: $(VENV)/.ready ## docs/reference made anew from the code
	@$(BIN)/python -m cli.reference

wheels: $(VENV)/.ready ## dist/heapline and dist/heapline-client
	@$(BIN)/python -m hatchling build -t wheel -d dist
	@cd packaging/client && ../../$(BIN)/python -m hatchling build -t wheel -d ../../dist

lock: ## resolve the lock files anew (needs uv)
	@uv pip compile pyproject.toml --extra embedded --extra test --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header -q -o requirements/dev.lock
	@uv pip compile pyproject.toml --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header -q -o requirements/runtime.lock

clean: ## remove what the targets above made here
	@rm -rf $(VENV) dist build .mypy_cache .ruff_cache .hypothesis .import_linter_cache
