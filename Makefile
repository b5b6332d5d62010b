# Two commands do everything on a machine that has Python 3.11 or later: `make bench` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
# How many times as many inputs as `make test` tries.
FUZZ ?= 16

.PHONY: bench test fuzz faults env env-test publish clean

bench: env  ## the standard suite: fits, scores, tables, figures and the page, in results/standard
	$(BIN)/pushforward run standard

test: env-test  ## lint, formatting, types, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist worksteal

fuzz: env-test  ## bad input by the hundred thousand: a quarter of an hour on one core
	PUSHFORWARD_FUZZ=$(FUZZ) $(BIN)/pytest tests/fuzz

faults: env-test  ## kills, full disks, damaged files, models that misbehave: all for real, and what it cost
	$(BIN)/python -m tests.faults --kills 200

env: .venv/.installed  ## the environment alone, in .venv, at the pinned versions

env-test: .venv/.installed-test

publish: bench  ## the reference run that the README shows, made by the code as committed
	$(BIN)/python -m benchmarks publish results/standard
	$(BIN)/pushforward run maps
	cp results/maps/tables/map_l2_uvp.md results/published/tables/maps.md
	cp results/maps/tables/map_l2_uvp.csv results/published/tables/maps.csv
	$(BIN)/pushforward study bottleneck
	$(BIN)/python -m benchmarks publish results/bottleneck
	$(BIN)/pushforward verify --out results/published/tables
	$(BIN)/python -m benchmarks.efficiency --out results/published/tables
	$(BIN)/python -m benchmarks.sample_size --out results/published
	$(BIN)/pushforward speed --out results/published/tables
	$(BIN)/python -m benchmarks.scale --out results/published

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

.venv/.installed-test: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@

clean:  ## the environment and the caches; never a result
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache
