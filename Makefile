# Everything a fresh clone needs: Python >= 3.10 with pip, and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests start hundreds of Pythons: each would compile lakebed, and pytest would rewrite it, again. What is
# written stays in the clone.
unexport PYTHONDONTWRITEBYTECODE

# Tests at the same time.
WORKERS ?= 2

# Several tests and their servers share processors that may be slow: a deadline is there to end what hangs.
test test-large: export LAKEBED_PATIENCE ?= 3

# Each example is a project of its own.
MYPY_OF_EXAMPLES := --config-file ../../pyproject.toml --cache-dir ../../.mypy_cache/shop

.PHONY: demo test test-large unit lint bench soak faults three-ways fit fit-python spark4 browser docs lock clean

demo: $(VENV)/installed
	$(BIN)/lakebed demo

test: lint
	$(BIN)/python -m pytest -m alone
	$(BIN)/python -m pytest -m "not alone and not large" -n $(WORKERS) --dist loadgroup
	cd examples/shop && ../../$(BIN)/python -m pytest

# Clusters, hosts apart, the table of faults, every PostgreSQL, other plugins of pytest, MariaDB.
test-large: $(VENV)/installed
	$(BIN)/python -m pytest -m large
	$(BIN)/python -m pytest tests/mariadb

unit: $(VENV)/installed
	$(BIN)/python -m pytest tests/unit

lint: $(VENV)/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	cd examples/shop && ../../$(BIN)/mypy $(MYPY_OF_EXAMPLES) .

bench: $(VENV)/installed
	$(BIN)/python -m bench

# The integration tests ten times, in random order, four at a time.
soak: $(VENV)/installed
	$(BIN)/python tools/soak.py

# Every fault of the table, done to every service it applies to; what is seen becomes docs/faults.md.
faults: $(VENV)/installed
	rm -rf build/faults
	FAULTS_FOLDER=$(CURDIR)/build/faults $(BIN)/python -m pytest -q -p no:randomly \
		tests/faults/test_fault_table.py tests/faults/test_faults_in_a_world.py
	$(BIN)/python tools/faults_page.py build/faults

# The live page, in a real Chromium that is downloaded once (70 MB, Linux on x86-64).
browser: $(VENV)/installed
	$(BIN)/python -m pytest tests/browser

# One suite, tests/attach/test_chain.py, on servers of lakebed's own, of somebody else's, and on clusters.
three-ways: $(VENV)/installed
	@echo "=== natively: one server of each"
	$(BIN)/python -m pytest -q --lakebed-set stack=own tests/attach/test_chain.py
	@echo "=== attached: servers that were started outside"
	$(BIN)/python -m pytest -q -s tests/attach/test_attached.py -k on_servers_of_somebody_else
	@echo "=== on clusters: three brokers, three Connect workers, a Spark master with two workers"
	$(BIN)/python -m pytest -q -s tests/cluster/test_whole_cluster.py -k the_chain
	@echo "=== the same suite has passed in three ways: natively, attached, on clusters"

# Every PostgreSQL, and every plugin of pytest that is tried with lakebed.
fit: $(VENV)/installed
	$(BIN)/python -m pytest -v tests/fit

# The unit tests and a round of changes with every Python, from 3.10 to 3.13: each is downloaded (26 MB, Linux on
# x86-64), and gets an environment of its own in build/python (1.2 GB).
fit-python: $(VENV)/installed
	$(BIN)/python tools/fit_python.py

# What uses Spark, on PySpark 4.1 instead of 3.5: a venv of its own, for which 450 MB are downloaded.
SPARK4 := .venv-spark4
TESTS_OF_SPARK := $(addprefix tests/, unit/test_spark_releases.py unit/test_spark_cluster_settings.py \
	integration/test_change_feed.py integration/test_pipeline.py integration/test_rows.py \
	integration/test_fixtures.py attach/test_chain.py faults/test_crash.py \
	security/test_spark_command_line.py cluster/test_spark_cluster.py)
spark4: $(SPARK4)/installed
	$(SPARK4)/bin/python -m pytest --lakebed-set stack=own $(TESTS_OF_SPARK)
	$(SPARK4)/bin/lakebed demo --rows 5000

# The site, with the API reference, into build/site. Every warning is an error. Needs Python >= 3.11.
docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --conf-dir docs/site -d build/doctrees . build/site

$(VENV)/installed-docs: $(VENV)/installed requirements/docs.txt
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/docs.txt
	touch $@

# Pinned with hashes, so pip resolves nothing; our own package last, without its dependencies.
$(VENV)/installed: requirements/dev.txt
$(SPARK4)/installed: requirements/spark4.txt
$(VENV)/installed $(SPARK4)/installed: requirements/build.txt pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --require-hashes -r requirements/build.txt
	$(@D)/bin/python -m pip install --quiet --require-hashes --no-build-isolation -r $(filter-out %/build.txt,$(filter %.txt,$^))
	$(@D)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# For a release: resolve again, and lock versions and hashes (no download addresses).
LOCK := uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
lock:
	$(LOCK) requirements/build.in -o requirements/build.txt
	$(LOCK) --extra dev --extra all --constraint requirements/dev.in pyproject.toml -o requirements/dev.txt
	$(LOCK) --extra dev --extra all --constraint requirements/spark4.in pyproject.toml -o requirements/spark4.txt
	$(subst 3.10,3.11,$(LOCK)) --constraint requirements/dev.txt requirements/docs.in -o requirements/docs.txt

clean:
	rm -rf $(VENV) $(SPARK4) build .hypothesis .mypy_cache .ruff_cache .pytest_cache
