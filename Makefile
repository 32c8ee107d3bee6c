# Two commands for a newcomer: `make demo` and `make test`. Both set up everything they need in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE_MODULES := docs/examples/node_modules/.package-lock.json
ARGS ?=
PYTEST_ARGS ?=

.PHONY: demo test lint audit lock test-slow programs clean

demo: $(VENV)/.demo
	@exec $(BIN)/classmood demo $(ARGS)

test: programs lint $(NODE_MODULES)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

test-slow: programs $(VENV)/.test $(NODE_MODULES)
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml bot pipeline model dashboard

# known vulnerabilities in what the image installs; says so if no advisory service can be reached
audit: $(VENV)/.test
	$(BIN)/python tests/audit.py

# pins what the image installs, to the byte; run it after changing the dependencies, and now and then for their fixes
lock: $(VENV)/.test
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	  --extra dashboard --custom-compile-command 'make lock' --output-file requirements.lock pyproject.toml requirements.in

# programs that the tests run besides Python, if this machine lets us install them; tests without theirs are skipped by name
programs:
	@sh tests/install-programs.sh

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@# Debian packages venv separately; virtualenv needs only pip
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV) && \
	  $(PYTHON) -m pip install --quiet --target $(VENV)-maker virtualenv && \
	  PYTHONPATH=$(VENV)-maker $(PYTHON) -m virtualenv --quiet $(VENV) && rm -rf $(VENV)-maker; }

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo,train,test]'
	@touch $(VENV)/.demo $@

# Node and npm come as a wheel with the tests' other requirements; if npm's registry is out of reach, Debian's package is used
$(NODE_MODULES): docs/examples/package-lock.json | programs $(VENV)/.test
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix docs/examples --silent --no-audit --no-fund && touch $@ || \
	  { mkdir -p $(@D) && ln -sfn /usr/share/nodejs/redis $(@D)/redis; }

clean:
	rm -rf $(VENV) docs/examples/node_modules build *.egg-info .pytest_cache .mypy_cache .ruff_cache
