# make demo    everything at work against stand-ins on this machine, with a proof at the end
# make test    every test; what needs a server that is not there is skipped, and says so
# make crash   two hundred kills on each database, with a report (SEED=N for the dice of an earlier one)
# make fuzz    every reader of foreign input, with new random examples of each (EXAMPLES=2000); prints the seed
# make soak    days of trouble in virtual time, with a report (SOAK="--waiting 100000": see --help);
#              python -m tests.soak.memory: what the real worker's memory comes to over outages
# make machine random steps against the promise for 4 minutes (SYNCD_MACHINE_SECONDS), from a seed that it prints
#              (SYNCD_MACHINE_SEED to repeat it, SYNCD_MACHINE_SHORTEN=1 to shorten what broke)
# make lint    format, lint, types, layers and known vulnerabilities of dependencies, as CI has them
# make promises break each promise in a copy of the tree, and see its tests fail (minutes; not in CI)
# make docs    the tables of adapters, the manual page and the table of commands for shells, anew from the code
# make lock    requirements.lock anew from pyproject.toml (needs uv, which nothing else does)
# make bench   figures, each as a ratio to a floor measured in the same run (BENCH="delivery --rounds 3": see --help);
#              what needs PostgreSQL wants SYNCD_TEST_POSTGRESQL, as `make test` does (tests/servers/postgresql.sh start)
# make bench-peers  tap-zendesk, dlt and syncd read the same Zendesk: CPU and requests; the peers come from PyPI, pinned
#              (bench/peers/*.txt), into environments of their own under .bench (PEERS="--rounds 3 --shipped")
# make clean   remove the virtual environment and what the tools have cached
#
# Each sets up .venv by itself, once, with Python 3.11 or newer and nothing else; make PYTHON=/path/to/python3.12 picks one.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-from-lock
UV ?= uv

# The first one that starts and is new enough: a shim may be there without the Python behind it.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for one in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$one" -c "$(NEW_ENOUGH)" >/dev/null 2>&1 && { echo "$$one"; break; }; done)

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test crash machine fuzz soak lint docs lock clean promises bench bench-peers
.DEFAULT_GOAL := test

demo: $(STAMP)
	@$(BIN)/syncd demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadgroup

crash: $(STAMP)
	SYNCD_CRASH_KILLS=$(or $(KILLS),200) SYNCD_CRASH_SEED=$(SEED) $(BIN)/python -m pytest tests/crash -q

EXAMPLES ?= 2000
FUZZ_SEED := $(or $(SEED),$(shell od -An -N4 -tu4 /dev/urandom | tr -d ' '))

fuzz: $(STAMP)
	@echo "the same examples again: make fuzz SEED=$(FUZZ_SEED) EXAMPLES=$(EXAMPLES)"
	SYNCD_FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest tests/fuzz tests/console/web/test_schemathesis.py --hypothesis-seed=$(FUZZ_SEED)

soak: $(STAMP)
	$(BIN)/python -m tests.soak $(SOAK)

machine: export SYNCD_MACHINE_SECONDS ?= 240
machine: export SYNCD_MACHINE_SEED ?= $(shell date +%s)
machine: $(STAMP)
	@echo "SYNCD_MACHINE_SEED=$$SYNCD_MACHINE_SEED"
	$(BIN)/python -m pytest tests/machine/test_machine.py -q -s

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.security.audit

promises: $(STAMP)
	$(BIN)/python -m tests.promises

bench: $(STAMP)
	$(BIN)/python -m bench $(BENCH)

bench-peers: $(STAMP)
	$(BIN)/python -m bench.peers $(PEERS)

docs: $(STAMP)
	$(BIN)/python -m tests.docs.adapter_table
	$(BIN)/python -m tests.docs.manual

lock:
	$(UV) pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(STAMP): requirements.lock pyproject.toml
	@"$(PYTHON)" -c "$(NEW_ENOUGH)" >/dev/null 2>&1 || { \
		echo "syncd needs Python 3.11 or newer, and '$(or $(PYTHON),python3)' is not that;" \
			"install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV) with $$("$(PYTHON)" --version) ..."
	@"$(PYTHON)" -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
