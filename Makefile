# Everything sets itself up on a fresh Debian machine; see tools/setup.
SHELL := /bin/bash
VENV := .setup/venv/bin
export PATH := $(CURDIR)/.setup/node_modules/.bin:$(CURDIR)/$(VENV):$(PATH):/usr/sbin

.PHONY: run test test-system lint bench format docs setup clean

run: setup
	@hyperhive run $(ARGS)

test:
	@tools/setup $$([ "$$(id -u)" != 0 ] || echo system)
	@tools/test $(ARGS)

test-system:
	@tools/setup system
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
