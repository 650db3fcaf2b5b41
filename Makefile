# Everything sets itself up on a fresh Debian machine; see tools/setup.
SHELL := /bin/bash
VENV := .setup/venv/bin
export PATH := $(CURDIR)/.setup/node_modules/.bin:$(CURDIR)/$(VENV):$(PATH):/usr/sbin

.PHONY: run test test-system lint bench format docs dashboard page-hash wheel setup clean

run: setup
	@hyperhive run $(ARGS)

test:
	@tools/setup test $$([ "$$(id -u)" != 0 ] || echo system)
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

# The page, built anew at each change of web/; and page.hash, by which Nix knows it.
dashboard: setup
	@npm run --prefix web dev

page-hash: setup
	@nix --extra-experimental-features nix-command hash path python/hyperhive/web | tee modules/page.hash

wheel: setup
	@rm -rf build # setuptools keeps what an earlier page was made of
	@pip wheel --quiet --no-deps --wheel-dir dist .

setup:
	@tools/setup

clean:
	rm -rf .setup .hive dist build web/node_modules python/hyperhive/web
