# One command each. Needs Python 3.11 or newer and make; everything else is installed into .venv, from uv.lock, by hash.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

UV_VERSION := 0.13.9
PYTHON := .venv/bin/python

# uv must use the .venv and the Python found here, whatever the caller's shell has set.
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/.venv
export UV_PYTHON_DOWNLOADS := never
unexport VIRTUAL_ENV

# --inexact: `make demo` after `make test` must not remove the tools for tests, nor uv remove itself.
SYNC := .venv/bin/uv sync --quiet --locked --inexact --python $(PYTHON)

.PHONY: help
help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: .venv/.ready  ## the whole story in one process, from an empty machine: watch the money move
	$(PYTHON) -m onebox demo

.PHONY: serve
serve: .venv/.ready  ## all services, the gateway and the sandbox payment provider, until Ctrl-C
	$(PYTHON) -m onebox serve

.PHONY: verify
verify: .venv/.ready  ## prove every invariant on the data of the last run, each ok or violated
	$(PYTHON) -m onebox verify

.PHONY: up
up:  ## the same as separate processes, with RabbitMQ between them: needs Docker with compose
	docker compose up --detach --build --wait
	@echo "Buluo       http://127.0.0.1:$${GATEWAY_PORT:-8000}    docker compose run --rm story"
	@echo "Prometheus  http://127.0.0.1:$${PROMETHEUS_PORT:-9090}"

.PHONY: down
down:  ## stop what `make up` started; what it wrote stays
	docker compose --profile '*' down

.PHONY: logs
logs:  ## what the processes of `make up` say, until Ctrl-C
	docker compose logs --follow --tail 100

.PHONY: migrate
migrate: .venv/.ready  ## bring every service's database to the newest schema
	$(PYTHON) -m onebox migrate

.PHONY: schemas
schemas: .venv/.ready  ## write the JSON schemas of all facts anew from contracts/
	$(PYTHON) -m contracts.publish

.PHONY: test
test: check  ## everything that must hold before a change lands: check, then all tests
	$(PYTHON) -m pytest -n auto --dist loadfile

.PHONY: check
check: .venv/.ready-to-test  ## style, types, layers, dependencies
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/deptry .

.venv/.ready: .venv/.uv-$(UV_VERSION) pyproject.toml uv.lock
	@echo "Installing what Buluo needs into .venv ..."
	@$(SYNC) --no-dev
	@touch $@

.venv/.ready-to-test: .venv/.uv-$(UV_VERSION) pyproject.toml uv.lock
	@echo "Installing what Buluo and its tests need into .venv ..."
	@$(SYNC)
	@touch $@ .venv/.ready

.venv/.uv-$(UV_VERSION):
	@set -e; \
	for candidate in python3 python3.14 python3.13 python3.12 python3.11; do \
	    if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then echo "Buluo needs Python 3.11 or newer, and found none on the PATH." >&2; exit 1; fi; \
	if ! $$found -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "$$found cannot make virtual environments: install its venv package (Debian: python3-venv)." >&2; exit 1; \
	fi; \
	if ! $(PYTHON) -c '' 2>/dev/null; then $$found -m venv --clear .venv; fi; \
	if ! $(PYTHON) -m pip --version >/dev/null 2>&1; then $(PYTHON) -m ensurepip >/dev/null; fi; \
	$(PYTHON) -m pip install --quiet --disable-pip-version-check 'uv==$(UV_VERSION)'
	@touch $@
