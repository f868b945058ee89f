# Two commands for a stranger: `make demo` and `make test`. They need Python 3.11 or later, Rust and make, nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENVIRONMENT := $(VENV)/.installed
# The bench's mock provider and clients: a crate of their own, so that the extension's lock knows nothing of them.
BENCH_LOAD := --manifest-path benches/load/Cargo.toml --target-dir target/bench-load
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

export PYO3_PYTHON := $(abspath $(BIN)/python)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# maturin installs into the environment that is active, which may be another one.
export VIRTUAL_ENV := $(abspath $(VENV))

.DEFAULT_GOAL := help
# The checks stand in an order: the quick ones first, the Python tests (whose closing line is the last) at the end.
.NOTPARALLEL:

.PHONY: help
help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s%s\n", $$1, $$2 }' Makefile

# --- environment ------------------------------------------------------------------------------------------------------

.PHONY: environment
environment: $(ENVIRONMENT) ## .venv with the locked dependencies (skipped while the lock is unchanged)

$(ENVIRONMENT): requirements/dev.txt
	@$(PYTHON) -c "import sys; sys.exit('make PYTHON=...: Python 3.11 or later is needed' if sys.version_info < (3, 11) else 0)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements/dev.txt
	touch $@

# Cargo decides what is to be built again. The install is never skipped, so that `make dev` before it cannot leave the
# tests on the source tree.
.PHONY: wheel
wheel: environment ## builds the release wheel into dist/ and installs it
	rm -rf dist
	$(BIN)/maturin build --quiet --release --locked --interpreter $(BIN)/python --out dist
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps --no-index dist/*.whl

.PHONY: dev
dev: environment ## installs the source tree itself (release build); after a change of Rust: again
	$(BIN)/maturin develop --quiet --release --locked

# For what needs the Rust half, be it from the wheel or from the source tree.
.PHONY: installed
installed: environment
	@$(BIN)/python -P -c "import bifrost_trio._wire" 2>/dev/null || $(MAKE) wheel

.PHONY: demo
demo: wheel ## a gateway on 127.0.0.1:8080 with a provider of its own: no key, no network
	$(BIN)/bifrost-trio serve --demo $(ARGS)

# --- the gate ---------------------------------------------------------------------------------------------------------

.PHONY: test
test: wheel format-check lint types rust python ## everything that must hold before a change lands

.PHONY: format
format: environment ## rewrites Python and Rust in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --quiet --fix-only --select I,RUF022,RUF023 .
	cargo fmt
	cargo fmt --manifest-path benches/load/Cargo.toml

.PHONY: format-check
format-check: environment
	$(BIN)/ruff format --check .
	cargo fmt --check
	cargo fmt --check --manifest-path benches/load/Cargo.toml

.PHONY: lint
lint: environment ## ruff, and clippy with and without Python
	$(BIN)/ruff check .
	cargo clippy --quiet --locked --all-targets -- -D warnings
	cargo clippy --quiet --locked --all-targets --no-default-features -- -D warnings
	cargo clippy --quiet --locked --all-targets $(BENCH_LOAD) -- -D warnings

.PHONY: types
types: installed ## mypy --strict, and the stub of the Rust half against the installed binary
	$(BIN)/mypy
	PYTHONSAFEPATH=1 MYPYPATH=. $(BIN)/stubtest --concise --allowlist .mypy-stubtest-allowlist bifrost_trio._wire

.PHONY: rust
rust: ## Rust tests, without Python
	cargo test --quiet --locked --no-default-features
	cargo test --quiet --locked $(BENCH_LOAD)

# PYTHONSAFEPATH keeps the source tree off sys.path, in the processes that the tests start too.
PYTEST = PYTHONSAFEPATH=1 BIFROST_TRIO_WHEEL=$(abspath $(wildcard dist/*.whl)) $(BIN)/python -m pytest
HALF := tests/attack tests/cli tests/clients tests/formats tests/wire

# Two halves at once, a core each: the tests are most of the gate's time. What the first one prints comes at its end.
.PHONY: python
python: wheel ## Python tests against the installed wheel; some of them: make python ARGS=tests/router
ifdef ARGS
	$(PYTEST) $(ARGS)
else
	@mkdir -p target
	@$(PYTEST) -p no:cacheprovider $(HALF) > target/half.log 2>&1 & half=$$!; \
	$(PYTEST) $(HALF:%=--ignore=%); other=$$?; \
	wait $$half; first=$$?; cat target/half.log; \
	test $$first -eq 0 -a $$other -eq 0
endif

.PHONY: bench
bench: dev ## the benchmarks; ARGS are theirs
	$(BIN)/python -m benches $(ARGS)

.PHONY: soak
soak: dev ## 200,000 mixed calls with clients that leave: does memory stay, does everything come home
	$(BIN)/python -m benches.soak $(ARGS)

.PHONY: idle
idle: dev ## 10,000 clients that stay and ask nothing: their memory, and whether one more notices them
	$(BIN)/python -m benches.idle $(ARGS)

.PHONY: overhead
overhead: dev ## the gateway's own overhead metric beside the packets on the loopback; as root
	$(BIN)/python -m benches.overhead $(ARGS)

# --- housekeeping -----------------------------------------------------------------------------------------------------

.PHONY: lock
lock: ## writes requirements/dev.txt anew from pyproject.toml; ARGS=--upgrade for newer versions
	test -x $(VENV)-lock/bin/pip-compile || { $(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip install --quiet pip-tools==7.6.2; }
	$(VENV)-lock/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --extra dev --extra mcp \
		--no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options \
		--output-file requirements/dev.txt $(ARGS) pyproject.toml

.PHONY: news
news: environment ## what the next release's notes would say
	$(BIN)/towncrier build --draft --version $(VERSION)

.PHONY: changelog
changelog: environment ## moves the fragments of news/ into CHANGELOG.md
	$(BIN)/towncrier build --yes --version $(VERSION)

.PHONY: clean
clean: ## removes everything that was built, and .venv
	rm -rf $(VENV) $(VENV)-lock dist target bifrost_trio/_wire.*.so
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find bifrost_trio tests benches -name __pycache__ -type d -prune -exec rm -rf {} +
