# siplab: a laboratory for SIP ALGs. "make help" lists the targets.
# Each target does the set-up that it needs; a second run skips it.

.DEFAULT_GOAL := help
.PHONY: help demo test test-deep lint bench doctor clean

BIN := .venv/bin

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 18

# What the tests need has in it what the demo needs.
.venv/ready-demo: pyproject.toml tools/setup.sh
	@[ .venv/ready-test -nt pyproject.toml ] || tools/setup.sh demo
	@touch $@

.venv/ready-test: pyproject.toml tools/setup.sh
	@tools/setup.sh test

demo: .venv/ready-demo  ## six routers, three situations, two remedies: what an ALG does to a phone
	@$(BIN)/siplab demo

test: .venv/ready-test  ## all tests
	@$(BIN)/python -m pytest -n auto --dist worksteal -q $(PYTEST_FLAGS)

test-deep: .venv/ready-test  ## all tests, those too that only try more of the same
	@$(BIN)/python -m pytest -n auto --dist worksteal -q -m "deep or not deep" $(PYTEST_FLAGS)

lint: .venv/ready-test  ## style, types, and which room may import which
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: .venv/ready-test  ## speed: queue, simulation, lab start, trials (JSON in out/bench.json)
	@$(BIN)/python -m tools.bench

doctor: .venv/ready-demo  ## what this machine can do, and how to fix what it can't
	@$(BIN)/siplab doctor

clean:  ## remove everything that make made
	rm -rf .venv out dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
