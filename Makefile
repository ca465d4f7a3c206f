# Two commands for newcomers: `make run` and `make test`. Everything they need they install, and say so.
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: help setup setup-dev web run test soak check clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/'

setup: ## what running needs: Debian's programs, .venv, the screens
	@scripts/setup run

setup-dev: ## and what testing needs
	@scripts/setup dev

web: ## build the screens if their sources changed
	@$(PY) -m console_web.build --if-needed

run: setup ## a simulated region, live, on this machine
	@exec $(VENV)/bin/dispatch120 run --demo $(ARGS)

test: setup-dev ## the whole test suite
	@$(PY) -m pytest -m "not soak" -n 2 $(ARGS)

soak: setup-dev ## the long runs
	@HYPOTHESIS_PROFILE=search $(PY) -m pytest -m soak --timeout=7200 $(ARGS)

check: setup-dev ## style, types, layers
	@scripts/check

clean: ## what was built; never data
	@rm -rf $(VENV) console_web/static console_web/ui/node_modules
