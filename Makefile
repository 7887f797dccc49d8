# One verb a line; what they do is in scripts/. What is needed from Debian: packaging/debian-packages.txt.
.PHONY: help install demo demo-cluster check test one mutants pythons simulate chaos nightly bench clean
.DEFAULT_GOAL := help
# ENGINE=20, 26 or 28: the engine of that Debian suite, unpacked beside the machine's own (docs/lab.md).
export ENGINE

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## .venv/bin/mooring
	@scripts/setup

demo: ## watch containers of a real engine get their addresses from Mooring (root)
	@scripts/setup --lab
	@scripts/demo

demo-cluster: ## watch three hosts share networks over etcd (root)
	@scripts/setup --lab
	@scripts/demo-cluster

check: install ## style, types, layers, and the fast tests (no root needed)
	@scripts/lint scripts/test fast

test: ## check, and the tests on real kernels and engines (root); ENGINE=28 for another engine
	@scripts/setup --lab
	@scripts/lint
	@scripts/test full

one: install ## one test: make one T=tests/core/test_leases.py, T=FILE::TEST, T="-k cooling tests/core" (tests/e2e: root)
	@.venv/bin/pytest -q $(T)

mutants: install ## what tests would not notice: make mutants M=core/leases, M=core SHARE=0.1 (a tenth)
	@.venv/bin/python scripts/mutants $(M) $(SHARE)

pythons: ## the fast tests on every Python that pyproject.toml names
	@scripts/pythons

simulate: ## a million steps of simulated clusters, or STEPS=N
	@scripts/simulate $(or $(STEPS),1000000)

chaos: ## three hosts, three members of etcd, and everything that fails, for a minute or SECONDS=N (root)
	@scripts/setup --lab
	@scripts/chaos $(or $(SECONDS),60) $(SEED)

nightly: ## a million simulated steps, and ten minutes of chaos (root); SEED=N
	@scripts/setup --lab
	@scripts/simulate 1000000 $(or $(SEED),$(shell date +%s))
	@scripts/chaos 600 $(SEED)

bench: ## every benchmark, or one: make bench NAME=docker-run (root)
	@scripts/setup --lab
	@scripts/bench $(NAME)

clean: ## remove .venv and what tools left
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
