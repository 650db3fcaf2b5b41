# Everything sets itself up on a fresh Debian machine; see tools/setup.
SHELL := /bin/bash
VENV := .setup/venv/bin
export PATH := $(CURDIR)/.setup/node_modules/.bin:$(CURDIR)/$(VENV):$(PATH)

.PHONY: run test test-system lint bench format docs setup clean

run: setup
	@hyperhive run $(ARGS)

test: setup
	@tools/test $(ARGS)

test-system: setup
	@tools/test-system $(ARGS)

lint: setup
	@ruff check . && ruff format --check . && mypy

format: setup
	@ruff check --fix . && ruff format .

bench: setup
	@PYTHONPATH=python/tests python -m bench $(ARGS)

docs: setup
	@tools/options

setup:
	@tools/setup

clean:
	rm -rf .setup .hive
