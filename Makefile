# Every target sets up what it needs first; the set-up is a no-op when nothing changed. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint bench-setup bench fault clean

PY := .venv/bin/python

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup:  ## the virtual environment with locked dependencies, and missing system packages
	@scripts/setup run 1>&2

demo: setup  ## the main job on this machine; ARGS="--once --json" ends by itself with a summary
	@.venv/bin/loa-controller demo $(ARGS)

test:  ## sets everything up and runs every test
	@scripts/setup test 1>&2
	@scripts/test $(ARGS)

lint: setup  ## format, style, types, layers
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports

bench-setup:  ## installs the peers that the benchmarks compare with
	@scripts/setup bench 1>&2

bench: bench-setup  ## the figures README quotes, each with its peer in the same run
	@failed=; for name in plan ingest agent live emergency fanout sync console; do \
		$(PY) -m benchmarks.$$name || failed="$$failed $$name"; \
	done; test -z "$$failed" || { echo "goals missed in:$$failed"; exit 1; }

fault: setup  ## the long fault campaign (not part of `make test`)
	@scripts/setup test 1>&2
	LOA_FAULT=long $(PY) -m pytest tests/fault -q -p no:cacheprovider

clean:  ## removes the virtual environment, the built console and caches
	rm -rf controller/web/static controller/web/ui/node_modules
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
