# Plainbill: what to type. `make help` lists it.

PYTHON ?= python3
PORT ?= 8080
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
UNATTENDED := DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0

.DEFAULT_GOAL := help
.PHONY: attack faults help install demo demo-reset test test-all test-days types-js lint lock chromium redis clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## put everything that running and testing need into .venv

demo: $(INSTALLED) ## start the portal with a demo clinic on http://127.0.0.1:8080 (another port: make demo PORT=9000)
	@exec $(BIN)/portal demo --port $(PORT)

demo-reset: $(INSTALLED) ## forget everything the demo has stored
	@$(BIN)/portal demo-reset

# One process more than there are cores: browser tests wait for their pages and worker while others compute.
PROCESSES ?= $$(($$(nproc 2>/dev/null || echo 2) + 1))

test: $(INSTALLED) chromium redis script-types ## run every test; those of pages on SQLite, the others on PostgreSQL, too
	$(BIN)/python -m pytest --numprocesses=$(PROCESSES) --dist=worksteal

test-all: $(INSTALLED) chromium redis script-types ## run every test that has a database on both kinds of it
	PLAINBILL_TEST_DATABASE=all $(BIN)/python -m pytest --numprocesses=$(PROCESSES) --dist=worksteal

# What has to do with days, and the days on which it went wrong or might: tests/days.py.
ON_DAYS ?= tests/unit/refunds tests/unit/statements tests/unit/payments tests/web/test_autopay.py \
	tests/web/test_plans_setup.py tests/web/test_plans_living.py tests/web/test_plans_down_payment.py \
	tests/web/test_staff_plans.py tests/web/test_refunds.py tests/web/test_statements.py tests/web/test_receipts.py \
	tests/web/test_plan_clauses.py tests/web/test_returned_debits.py tests/e2e/test_plans.py tests/e2e/test_plans_banks.py tests/e2e/test_plans_desk.py \
	tests/e2e/test_plan_offers.py tests/e2e/test_statements.py tests/e2e/test_autopay.py
DAYS ?= $$($(BIN)/python -m tests.days)

test-days: $(INSTALLED) chromium ## run what has to do with days as of ends of months and other nasty days (an hour)
	@for day in $(DAYS); do \
		echo "As of $$day"; \
		PLAINBILL_TEST_NOW=$$day PLAINBILL_TEST_DATABASE=sqlite $(BIN)/python -m pytest \
			--numprocesses=auto --dist=worksteal -q $(ON_DAYS) || failed="$$failed $$day"; \
	done; test -z "$$failed" || { echo "Failed as of:$$failed" >&2; exit 1; }

types-js: node_modules ## check our scripts against Stripe's types (needs npm)
	node_modules/.bin/tsc --project tsconfig.json

faults: $(INSTALLED) ## kill, delay, crowd and break payments on purpose, and count the cents (docs/faults.md)
	@$(BIN)/python -m tests.faults

attack: $(INSTALLED) ## ask a real portal about known and unknown names, and compare how long it takes (docs/attack.md)
	@$(BIN)/python -m tests.attack

lint: $(INSTALLED) ## linters, type checks and import rules
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

lock: $(INSTALLED) ## write requirements.lock anew from pyproject.toml
	@$(BIN)/uv --version >/dev/null 2>&1 || $(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra build --extra redis --extra sandbox --extra test \
		--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --quiet \
		--output-file requirements.lock

clean: ## remove .venv and what tools have cached (the demo's data stays)
	rm -rf $(VENV) node_modules build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Plainbill needs Python 3.11 or newer, and $(PYTHON) is not. With another one: make PYTHON=python3.12" >&2; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing python3-venv, which this Python lacks ..."; \
		$(UNATTENDED) update && $(UNATTENDED) install -y --no-install-recommends python3-venv; \
	else \
		echo "This Python cannot make virtual environments. Type: sudo apt-get install -y python3-venv" >&2; exit 1; fi
	@echo "Installing the locked packages into $(VENV): once, about a minute ..."
	@$(PYTHON) -m venv $(VENV)
	@# setuptools first: what comes as source is built with this one, not with another that pip would fetch unchecked.
	@awk '/^[a-z]/ { keep = /^setuptools==/ } keep' requirements.lock > $(VENV)/build.lock
	@$(PIP) --require-hashes -r $(VENV)/build.lock
	@$(PIP) --require-hashes --no-build-isolation -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --no-index -e .
	@touch $@
	@echo "Installed."

node_modules: package.json package-lock.json
	npm ci --no-audit --no-fund --silent --fetch-retries=1
	@touch $@

# Where npm is, the types come with the tests; where they can't be had, the test that needs them is skipped and says so.
.PHONY: script-types
script-types:
	@if command -v npm >/dev/null; then \
		$(MAKE) --no-print-directory node_modules || echo "The types of the scripts could not be installed."; fi

# The end-to-end tests drive a real browser; where none can be had they are skipped and say so.
chromium:
	@if ! $(BIN)/python -m tests.chromium >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium for the end-to-end tests ..."; \
		$(UNATTENDED) update && $(UNATTENDED) install -y --no-install-recommends chromium \
			|| echo "Chromium could not be installed; the tests that need it will be skipped."; fi

# Rate limits are counted in Redis where an operator has one; its tests start a private server.
redis:
	@if ! $(BIN)/python -m tests.redis >/dev/null 2>&1 && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Redis for the tests of the rate limits ..."; \
		$(UNATTENDED) update && $(UNATTENDED) install -y --no-install-recommends redis-server \
			|| echo "Redis could not be installed; the tests that need it will be skipped."; fi
