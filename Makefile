# Everything runs in .venv, which the first target that needs it makes. PYTHON=... picks another
# interpreter, WORKERS=... the number of test processes.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2

BIN := $(VENV)/bin
PIP_INSTALL := pip install --disable-pip-version-check --quiet
PIP := $(BIN)/python -m $(PIP_INSTALL) -c constraints.txt
SBIBM := sbibm-1.1.0-py2.py3-none-any.whl

.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test slow lint format docs dist oldest newest bench clean

help:
	@echo "make demo    the posterior of the lynx-hare model, pictures in build/"
	@echo "make test    the tests, doctests included"
	@echo "make slow    the slow tests"
	@echo "make lint    ruff, mypy and numpydoc validation"
	@echo "make format  let ruff put the code into shape"
	@echo "make docs    the documentation, in docs/_build/html"
	@echo "make dist    wheel and source archive, in dist/, and the tests on the installed wheel"
	@echo "make oldest  the tests, with the oldest versions of everything (constraints-oldest.txt)"
	@echo "make newest  the tests, with the newest versions of everything but torch"
	@echo "make bench   the benchmarks (hours)"
	@echo "make clean   remove everything that the other targets made"

$(VENV)/torch.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch
	@touch $@

$(VENV)/%.stamp: $(VENV)/torch.stamp
	$(PIP) -e ".[$*]" --config-settings editable_mode=compat
	@touch $@

.PRECIOUS: $(VENV)/%.stamp

# One thread: with two, a busy neighbour on one core would stall every step of the training.
demo: export OMP_NUM_THREADS = 1
demo: $(VENV)/plot.stamp
	$(BIN)/python examples/plot_01_lynx_hare.py

test: export OMP_NUM_THREADS = 1
test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations 10

slow: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m slow -s tests

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	find sksbi -name '*.py' | sort | xargs $(BIN)/numpydoc lint

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: export OMP_NUM_THREADS = 1
docs: $(VENV)/docs.stamp
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

# $(1) a new environment, $(2) constraints, $(3) what to install after torch.
define environment
	rm -rf $(1)
	$(PYTHON) -m venv $(1)
	$(1)/bin/python -m $(PIP_INSTALL) -c $(2) torch
	$(1)/bin/python -m $(PIP_INSTALL) -c $(2) $(3)
endef

dist: export OMP_NUM_THREADS = 1
dist: $(VENV)/release.stamp
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*
	$(call environment,build/dist-venv,constraints.txt,"$$(echo dist/*.whl)[test]")
	$(BIN)/python tests/dist.py build/dist-venv -n $(WORKERS) --dist worksteal

oldest: export OMP_NUM_THREADS = 1
oldest:
	$(call environment,build/oldest-venv,constraints-oldest.txt,-e ".[test]")
	build/oldest-venv/bin/python -m pytest -n $(WORKERS) --dist worksteal

newest: export OMP_NUM_THREADS = 1
newest:
	mkdir -p build
	grep ^torch== constraints.txt > build/constraints-newest.txt
	$(call environment,build/newest-venv,build/constraints-newest.txt,-e ".[test]")
	build/newest-venv/bin/python -m pytest -n $(WORKERS) --dist worksteal

build/$(SBIBM): $(VENV)/torch.stamp
	$(BIN)/python -m pip download --quiet --no-deps --dest build sbibm==1.1.0

bench: export SBIBM_WHEEL = build/$(SBIBM)
bench: $(VENV)/dev.stamp build/$(SBIBM)
	set -e; for script in tests/benchmarks/accuracy.py tests/benchmarks/speed.py; do $(BIN)/python $$script; done

clean:
	rm -rf $(VENV) build dist docs/_build docs/api docs/auto_examples docs/sg_execution_times.rst
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find sksbi tests examples docs -name __pycache__ -type d -prune -exec rm -rf {} +
