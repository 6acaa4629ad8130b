# Every target first makes or updates .venv: `make test` on a fresh clone is enough.
# Another interpreter: `make test PYTHON=python3.13`. More options for pytest: `make test ARGS="-k store -x"`.

PYTHON ?= python3
ARGS ?=
# processes that run tests
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
STAMP := $(VENV)/.installed-$(VERSION)
MNIST ?=

.DELETE_ON_ERROR:
.PHONY: help install demo test test-slow fuzz lint format types docs bench bench-compare bench-peers gpu-test gpu-bench changelog dist clean

help:
	@echo "make demo       encode real digits, train on the store, evaluate; pictures in demo/"
	@echo "make test       the tests that take seconds      make test-slow  those that take minutes"
	@echo "make fuzz       mutated inputs for every reader; so many each: make fuzz COUNT=100000"
	@echo "make lint       ruff and the import rules        make types      mypy, strict"
	@echo "make format     fix what ruff can fix            make bench      the benchmarks"
	@echo "make bench-compare BASE=<commit>   times of that commit and of this tree, alternately, and their ratios"
	@echo "make bench-peers   training and inference beside SpikingJelly, snnTorch, norse and Spyx, on one page"
	@echo "make docs       the documentation site, in build/documentation/site"
	@echo "make gpu-test   tests of the CUDA backend and compute-sanitizer; writes gpu-report/test.txt, test.json"
	@echo "make gpu-bench  benchmarks on a GPU; writes gpu-report/bench.json, bench.md"
	@echo "make changelog  the news of changes/ into CHANGELOG.md, for a release; ARGS=--draft only shows it"
	@echo "make dist       a wheel and an sdist in dist/, tested in a fresh environment"
	@echo "make clean      remove .venv, demo/ and caches"

install: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is $(or $(VERSION),missing)." \
	    "Name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@# an environment of the same Python is updated; one of another Python is replaced
	@$(BIN)/python -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(VERSION)")' 2>/dev/null || \
	  { rm -f $(VENV)/.installed-*; $(PYTHON) -m venv --clear $(VENV); }
	@# setuptools warns of any folder named like a package; tests run from the root, where both are one
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(STAMP)
	@rm -rf demo
	$(BIN)/spikeprep encode digits --out demo/digits.zarr
	$(BIN)/spikeprep train demo/digits.zarr --arch 200 --run demo/run
	$(BIN)/spikeprep evaluate demo/run demo/digits.zarr
	$(BIN)/spikeprep plot demo/digits.zarr --out demo/raster.png
	$(BIN)/spikeprep plot demo/run --out demo/training.png

test: $(STAMP)
	$(BIN)/python -m pytest -m "not slow" -n $(JOBS) --dist loadfile $(ARGS)

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow --ignore tests/fuzz $(ARGS)
	NUMBA_BOUNDSCHECK=1 $(BIN)/python -m pytest -m "not slow" $(ARGS)

COUNT ?= 20000
fuzz: $(STAMP)
	SPIKEPREP_FUZZ_COUNT=$(COUNT) $(BIN)/python -m pytest -m slow -s tests/fuzz $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-cache --no-logo

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(STAMP)
	$(BIN)/mypy

$(VENV)/.installed-docs: $(STAMP)
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

docs: $(VENV)/.installed-docs
	$(BIN)/python -m docs_site

bench: $(STAMP)
	@test -n "$(MNIST)" || { echo "Name the folder of MNIST's four IDX files: make bench MNIST=..."; exit 2; }
	$(BIN)/python -m benchmarks.decoding
	$(BIN)/python -m benchmarks.encode --source $(MNIST)
	$(BIN)/spikeprep encode mnist --source $(MNIST) --out .data/mnist.zarr
	$(BIN)/python -m benchmarks.train .data/mnist.zarr --peers $(ARGS)

# HEAD: a commit in place of this tree; ROUNDS: of each, default 7; ARGS="--only train": some of the figures
BASE ?=
HEAD ?=
ROUNDS ?=
bench-compare: $(STAMP)
	@test -n "$(BASE)" || { echo "Name the commit to compare with: make bench-compare BASE=main"; exit 2; }
	$(BIN)/python -m benchmarks.compare --base "$(BASE)" $(if $(HEAD),--head "$(HEAD)") \
	  $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS)

$(VENV)/.installed-peers: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch spikingjelly snntorch norse spyx
	@touch $@

bench-peers: $(VENV)/.installed-peers
	$(BIN)/python -m benchmarks.peers --page $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS)

# Both need the extra for the driver's CUDA, cuda12 or cuda13, which the driver says. Another GPU than the first: GPU=1.
ifneq ($(filter gpu-%,$(MAKECMDGOALS)),)
CUDA ?= $(or $(shell nvidia-smi 2>/dev/null | sed -n 's/.*CUDA Version: *\([0-9]*\).*/cuda\1/p'),cuda13)
endif
CUDA ?= cuda13
GPU ?= 0
STORE ?=

$(VENV)/.installed-$(CUDA): $(STAMP)
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(CUDA)]'
	@touch $@

gpu-test: $(VENV)/.installed-$(CUDA)
	$(BIN)/python -m tests.cuda.report --gpu $(GPU) $(ARGS)

gpu-bench: $(VENV)/.installed-$(CUDA)
	$(BIN)/python -m benchmarks.gpu --gpu $(GPU) $(if $(STORE),--store $(STORE)) $(ARGS)

# The archives, and the tests of the sdist against the wheel installed beside them. TESTS: which ones.
TESTS ?= -m "not slow"
changelog: $(STAMP)
	$(BIN)/towncrier build --yes --version "$$($(BIN)/python -c 'import spikeprep; print(spikeprep.__version__)')" $(ARGS)

dist: $(STAMP)
	rm -rf dist build .dist-venv .dist-tests
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build
	$(BIN)/python -m build --outdir dist . >/dev/null
	$(PYTHON) -m venv .dist-venv
	.dist-venv/bin/python -m pip install --quiet --disable-pip-version-check "$$(ls dist/*.whl)[dev]"
	mkdir .dist-tests && tar -xzf dist/*.tar.gz -C .dist-tests --strip-components=1
	rm -r .dist-tests/spikeprep .dist-tests/cli
	cd .dist-tests && ../.dist-venv/bin/python -m pytest $(TESTS)

clean:
	rm -rf $(VENV) demo gpu-report build dist .dist-venv .dist-tests .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
