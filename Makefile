# Each target is one command from a bare checkout: it makes .venv and starts Docker where they are missing.
#
#   make demo        deploy to the lab's hosts and show what happened; the hosts stay up
#   make demo-down   remove them
#   make test        all tests, those on real hosts in Docker included (FLAGS="-k name" reach pytest)
#   make sweep       the tests with a fault at each step, at every step; make test takes a sample of the steps
#   make test-rhel IMAGE=rockylinux:9   the tests of the RHEL family on a host made from a real image of it
#   make lint        style, types, import rules
#   make docs        the documentation as a site, in site/
#   make pictures    the pictures of the documentation, from a real deploy; needs Chromium
#   make bench       how long runs take, beside Ansible, Mitogen and pyinfra (FLAGS=--quick for a few of them)
#   make dist        build sdist, wheel and checksums into dist/ (CONTRIBUTING.md: Release)
#   make lab-up      start the lab's hosts only (HOSTS="vm1 laptop1" for some of them)
#   make lab-down    the same as demo-down
#   make clean       remove the lab, its caches, .venv and what tools left behind

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
STAMP := .venv/.installed
LAB := tests/lab/lab.py
HOSTS ?=
FLAGS ?=
# Files of tests that run at once, each with hosts of its own. One keeps less than half a core busy: most of its time is waiting.
JOBS ?= 5
BENCH = PYTHONPATH=tests/lab $(PYTHON) -m bench
PYTEST = $(PYTHON) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
# Tests start fab hundreds of times; each start would compile all of encamp.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo demo-down test sweep test-rhel lint docs pictures bench dist lab-up lab-down clean

help:
	@sed -n 's/^#   make/make/p' Makefile

$(STAMP): setup.cfg setup.py pyproject.toml tests/venv.sh
	tests/venv.sh .venv
	touch $@

demo: $(STAMP)
	$(PYTHON) tests/lab/demo.py

demo-down lab-down: $(STAMP)
	$(PYTHON) $(LAB) down

test: $(STAMP)
	tests/lab/docker.sh
	$(PYTEST) $(FLAGS)

sweep: $(STAMP)
	tests/lab/docker.sh
	$(PYTEST) -m sweep --every-step $(FLAGS)

test-rhel: $(STAMP)
	@[ -n "$(IMAGE)" ] || { echo 'usage: make test-rhel IMAGE=rockylinux:9 (any image of the RHEL family, with dnf)' >&2; exit 2; }
	tests/lab/docker.sh
	ENCAMP_LAB_RHEL_IMAGE=$(IMAGE) $(PYTHON) -m pytest -n 0 $(FLAGS) tests/integration/test_rhel.py

lint: $(STAMP)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

pictures: $(STAMP)
	$(PYTHON) tests/lab/pictures.py docs/img

bench: $(STAMP)
	$(BENCH).server $(FLAGS)
	$(BENCH).peers $(FLAGS)
	$(BENCH).scale $(FLAGS)

dist: $(STAMP)
	.ci/dist

lab-up: $(STAMP)
	$(PYTHON) $(LAB) up $(HOSTS)

clean:
	if [ -x $(PYTHON) ] && [ -e .lab ]; then $(PYTHON) $(LAB) down --all; fi
	rm -rf .venv .lab site build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
