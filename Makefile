# Everything a first visit needs. The work of installing is in tools/install.sh.
#
#   DEMO_ARGS, TEST_ARGS   passed on, e.g. make test TEST_ARGS='-k filters'

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help install demo test test-long lint docs

# The active virtualenv or conda environment, else .venv. Asked when used: .venv may not be there yet.
PYTHON = $(shell bash tools/install.sh --python)

help:  ## show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 16

install:  ## install into the active environment, or else into .venv (2 to 3 minutes, once; nothing is compiled)
	@bash tools/install.sh

demo: install  ## train on a tiny made-up dataset, on any machine
	"$(PYTHON)" demo/train_demo.py $(DEMO_ARGS)

# A process per core, four at most: each has one thread. The files of a test stay together, for they share their runs.
PYTEST = "$(PYTHON)" -m pytest -n auto --maxprocesses 4 --dist loadfile

test: install  ## run the tests, but those that take minutes
	$(PYTEST) tests -m 'not long' $(TEST_ARGS)

test-long: install  ## run the tests that take minutes
	$(PYTEST) tests -m long $(TEST_ARGS)

lint: install  ## check style, docstrings, spelling, types of the public surface, and which room imports which
	"$(PYTHON)" -m ruff check .
	"$(PYTHON)" -m ruff format --check .
	"$(PYTHON)" -m codespell_lib
	"$(PYTHON)" -m mypy
	"$(dir $(PYTHON))lint-imports" --no-logo --no-cache

docs: install  ## build the documentation as a site, docs/_build/html/docs/index.html; a warning is an error
	"$(PYTHON)" -m sphinx -q -W --keep-going -c docs/site -b html . docs/_build/html
