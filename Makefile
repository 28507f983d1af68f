# Nothing is assumed but make, pip and Python 3.11 or later.  CI calls these same targets.
#
#   make demo [ARGS=--once]    the proxy with an embedded upstream; no account needed
#   make test [ARGS=...]       what must pass before a commit; ARGS go to pytest

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
ALL ?=

bin := $(VENV)/bin
# The machine's pip installs into the environment, which therefore needs no pip of its own
# (Debian keeps the piece that would put one there in another package).
pip := $(PYTHON) -m pip --python $(bin)/python --disable-pip-version-check --quiet
compile := $(bin)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--upgrade --no-annotate --no-header --no-emit-index-url --no-emit-find-links

.PHONY: help demo test check format coverage bench bench-quick simulate chaos test-claude test-clients test-real test-stores docs lock clean

help:
	@sed -n 's/^#   //p' Makefile
	@echo 'also: check format coverage bench bench-quick simulate chaos test-claude test-clients test-real test-stores docs lock clean'

# One environment grows: the test requirements hold the run-time ones at the same versions.
$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'llmroute needs Python 3.11 or later: make PYTHON=python3.11 ...' >&2; exit 1; }
	$(PYTHON) -m venv --without-pip $(VENV)
	@touch $@

$(VENV)/run.stamp: requirements/run.txt pyproject.toml $(VENV)/python.stamp
	$(pip) install --require-hashes --requirement requirements/run.txt
	$(pip) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/test.stamp: requirements/test.txt $(VENV)/run.stamp
	$(pip) install --require-hashes --requirement requirements/test.txt
	@touch $@

demo: $(VENV)/run.stamp
	@$(bin)/llmroute demo $(ARGS)

test: check
	$(bin)/python -m pytest -n auto $(ARGS)

check: $(VENV)/test.stamp
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy

format: $(VENV)/test.stamp
	$(bin)/ruff check --fix .
	$(bin)/ruff format .

coverage: $(VENV)/test.stamp
	$(bin)/coverage erase
	$(bin)/coverage run -m pytest $(ARGS)
	$(bin)/coverage combine --quiet
	$(bin)/coverage report

# The real client, from npm, against a fake upstream; never part of `make test`.
test-claude: $(VENV)/test.stamp
	$(bin)/python tests/claude/install.py
	$(bin)/python -m pytest -m claude -n 3 tests/claude $(ARGS)

# Other people's clients, in an environment of their own, which is no part of the tests' one.
$(VENV)/clients.stamp: requirements/clients.txt $(VENV)/python.stamp
	$(PYTHON) -m venv --clear --without-pip $(VENV)/clients
	$(PYTHON) -m pip --python $(VENV)/clients/bin/python --disable-pip-version-check --quiet \
		install --require-hashes --requirement requirements/clients.txt
	@touch $@

# They run against the proxy, with fake upstreams behind it; never part of `make test`.
test-clients: $(VENV)/test.stamp $(VENV)/clients.stamp
	$(bin)/python tests/clients/install.py
	$(bin)/python -m pytest -m clients tests/clients $(ARGS)

# A real model server, llama.cpp's: built from source once, which takes cmake, a C++ compiler
# and some twenty minutes on two cores; its model is made by the tests.  Never part of `make test`.
test-real: $(VENV)/test.stamp
	$(PYTHON) tests/real/install.py
	$(bin)/python tests/claude/install.py
	$(bin)/python -m pytest -m real tests/real $(ARGS)

# Answers broken in every way and at a sample of places, on real sockets; ALL=1 at every byte, which
# takes minutes.  Never part of `make test`.
chaos: $(VENV)/test.stamp
	CHAOS_ALL=$(ALL) $(bin)/python -m pytest -m chaos tests/chaos $(ARGS)

# What is kept and shared, in memory, SQLite, a real PostgreSQL and a real Redis, which the tests
# start on loopback, stall and kill; `make test` does so with memory and SQLite alone.
test-stores: $(VENV)/test.stamp
	$(PYTHON) tests/stores/install.py
	$(bin)/python -m pytest -m 'stores or redis or not (claude or clients or real or chaos)' \
		tests/database tests/accounts tests/usage tests/stores tests/redis tests/asgi/admin \
		tests/cli/test_keys.py -n 2 $(ARGS)

bench: $(VENV)/test.stamp
	$(bin)/python -m bench $(ARGS)

bench-quick: $(VENV)/test.stamp
	$(bin)/python -m bench --quick $(ARGS)

# A day of sessions against scripted failures, in virtual time: results and page are written anew.
simulate: $(VENV)/test.stamp
	$(bin)/python -m bench.simulate $(ARGS)

# The generated reference: settings, commands, and what the tests prove.
docs: $(VENV)/test.stamp
	$(bin)/python -m llmroute_cli.reference docs/reference
	$(bin)/python -m tests.claude.what_works docs/reference

# Pin anew.  The files name no index, so they install from whichever one pip is set to.
lock: $(VENV)/test.stamp
	$(compile) --extra proxy pyproject.toml requirements/build.in -o requirements/run.txt
	$(compile) --all-extras pyproject.toml requirements/build.in requirements/test.in \
		-o requirements/test.txt
	$(compile) requirements/clients.in -o requirements/clients.txt

clean:
	rm -rf $(VENV) build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
