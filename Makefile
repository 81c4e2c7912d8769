# siplab: a laboratory for SIP ALGs. "make help" lists the targets.
# Each target does the set-up that it needs; a second run skips it.

.DEFAULT_GOAL := help
.PHONY: help demo test test-deep lint bench scale dataset docs agree fuzz soak coverage lowest dist doctor clean

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

scale: .venv/ready-test  ## 100,000 trials into tables, killed on the way: rate, memory, bytes (SCALE_FLAGS="--trials 10000")
	@$(BIN)/python -m tools.scale $(SCALE_FLAGS)

dataset: .venv/ready-test  ## the reference matrix as a dataset in out/dataset: Parquet, CSV, dictionary (DATASET_FLAGS="--every 500")
	@$(BIN)/python -m tools.dataset $(DATASET_FLAGS)

docs: .venv/ready-demo  ## the documentation as a site in out/site, with search, the sandbox and a report; broken links fail
	@$(BIN)/pip install --quiet -e '.[docs]'
	@$(BIN)/python -m tools.site

agree: .venv/ready-test  ## does the lab fail as real phones and servers did? (docs/agreement.md)
	@$(BIN)/python -m tools.agreement
	@$(BIN)/siplab agree --cells tests/data/agreement.tsv

fuzz: .venv/ready-test  ## look for inputs that break a reader (FUZZ_FLAGS="--seconds 600 --keep sip"); finds become tests
	@$(BIN)/pip install --quiet atheris || echo "fuzz: no atheris for this platform: mutations instead"
	@$(BIN)/python -m tools.fuzz $(FUZZ_FLAGS)

soak: .venv/ready-test  ## ten minutes of honest and hostile clients at the detection server
	@$(BIN)/python -m tools.soak

# The tests that look at these rooms from the inside; all others come to them only by the way.
coverage: .venv/ready-test  ## branches of lab/wire, lab/gateway and alg_models that their tests take
	@$(BIN)/python -m pytest -n auto -q tests/lab/wire tests/lab/gateway tests/alg_models tests/lab/test_rfc4475.py \
		tests/lab/probing/test_probes.py --cov=siplab.lab.wire --cov=siplab.lab.gateway --cov=siplab.alg_models \
		--cov-branch --cov-report=term --cov-fail-under=95

lowest:  ## the smoke set with the lowest versions that pyproject.toml allows
	@tools/lowest.sh

dist:  ## wheel, sdist and SBOM (CycloneDX) in dist/, checked
	@tools/dist.sh

doctor: .venv/ready-demo  ## what this machine can do, and how to fix what it can't
	@$(BIN)/siplab doctor

clean:  ## remove everything that make made
	rm -rf .venv out dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
