# `make` lists the targets. Only Python >= 3.11 and PyPI are needed; uv is installed into .venv.
PYTHON ?= python3
UV_VERSION := 0.13.8
BIN := .venv/bin
PYTEST_ARGS ?=
FUZZ_ARGS ?=
BENCH_ARGS ?=
IMAGES := callback codex-intake discord-interaction dispatcher embedder memory-query migrate runner
SOURCES := functions shared migrations tests

export UV_PROJECT_ENVIRONMENT := .venv
# Without bytecode every start of a function would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE
unexport VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help install demo dev image images deploy test check format lint types contracts proto eventing openapi fuzz-api test-cluster test-knative test-codex test-images test-e2e bench-start bench-flow bench-intake bench-dispatch bench-callback bench-embedding bench-memory bench-migration bench-discord clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 14

install: .venv/installed ## Install everything into .venv, from the lock file

.venv/installed: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "facteur needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
		{ echo "cannot make .venv: install the venv module of $(PYTHON) (on Debian: apt install python3-venv)"; exit 1; }
	@$(BIN)/uv --version 2>/dev/null | grep -q '^uv $(UV_VERSION)' || $(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	@$(BIN)/uv sync --locked --all-extras --quiet
	@touch $@

demo: install ## Run the main job: real tasks through all six functions, on this machine
	@$(BIN)/facteur demo

dev: install ## The same system, left running until Ctrl-C
	@$(BIN)/facteur dev

test: install ## Pass the tests, on real PostgreSQL and Redis
	@$(BIN)/pytest $(PYTEST_ARGS)

check: format lint types contracts test ## Everything that CI checks

format: install ## Is everything formatted?
	@$(BIN)/ruff format --check --quiet $(SOURCES) || { echo "run: $(BIN)/ruff format $(SOURCES)"; exit 1; }

lint: install ## ruff
	@$(BIN)/ruff check --quiet $(SOURCES)

types: install ## mypy --strict
	@$(BIN)/mypy

contracts: install ## Who may import whom
	@$(BIN)/lint-imports --no-cache

image: ## Build one image: FUNCTION=callback, or migrate, or runner; IMAGE_REGISTRY, IMAGE_TAG, IMAGE_ENGINE, IMAGE_ARGS
	@functions/image.sh build $(FUNCTION)

images: ## Build all eight
	@functions/image.sh build $(IMAGES)

deploy: ## Build, push, apply, wait and show: OVERLAY=local CONTEXT=kind-facteur
	@knative/deploy.sh "$(OVERLAY)" "$(CONTEXT)"

proto: install ## Generate the protobuf classes from eventing/proto
	@$(BIN)/python -m grpc_tools.protoc -I eventing/proto \
		--python_out=shared/events/protobuf --pyi_out=shared/events/protobuf eventing/proto/proompteng/*/v1/*.proto

eventing: install ## Generate EventTypes and JSON Schemas of events from the catalogue
	@$(BIN)/python -m shared.local.event_documents eventing

openapi: install ## Generate docs/openapi.json from the types
	@$(BIN)/python -m functions.codex_intake.openapi > docs/openapi.json

# One that is only set in the shell may be anybody's cluster: it has to be said.
ifneq ($(origin KUBECONFIG),command line)
unexport KUBECONFIG
endif

test-cluster: install ## On a real API server and a real MinIO, built once; KUBECONFIG=... takes a cluster of yours
	@$(BIN)/python -m tests.cluster run -- $(BIN)/python -m tests.cluster.minio \
		$(BIN)/pytest $(PYTEST_ARGS) -k "not fake" tests/cluster tests/contract/api_server tests/contract/jobs \
		tests/contract/artifacts tests/component/test_artifacts.py tests/integration/doctor/test_store.py

test-knative: install ## On a real cluster of one node with Knative, built once; needs root on Debian 12
	@$(BIN)/python -m tests.knative run --logs .cluster/logs -- $(BIN)/pytest -n 0 $(PYTEST_ARGS) tests/knative

test-codex: install ## The runner around the real Codex CLI, which npm installs once
	@$(BIN)/python -m tests.codex run -- $(BIN)/pytest $(PYTEST_ARGS) tests/codex

test-images: install ## What each image holds, put together in a folder, and started there
	@FACTEUR_TEST_EVERY_IMAGE=1 $(BIN)/pytest $(PYTEST_ARGS) -n 0 -s tests/images

test-e2e: install ## On the running system that FACTEUR_E2E_BASE_URL and FACTEUR_E2E_TOKEN name; docs/sandbox.md
	@$(BIN)/python -m tests.e2e $(PYTEST_ARGS)

fuzz-api: install ## Attack the HTTP API from its document, with every check of schemathesis
	@$(BIN)/python -m tests.fuzz.api $(FUZZ_ARGS)

bench-start: install ## Process start to first answer, beside a bare Functions Framework
	@$(BIN)/python -m tests.bench.start

bench-flow: install ## Latency and tasks per second through all six functions
	@$(BIN)/python -m tests.bench.flow

bench-intake: install ## Deliveries a second, beside what framework and database allow
	@$(BIN)/python -m tests.bench.intake

bench-dispatch: install ## Launches a second on a real API server, beside the bare calls in the same order
	@$(BIN)/python -m tests.cluster run -- $(BIN)/python -m tests.bench.dispatch

bench-callback: install ## Events a second that containers report, beside pgbench with the same inserts
	@$(BIN)/python -m tests.bench.callback

bench-embedding: install ## Texts embedded a second and calls a text, before a local API that takes 50 ms
	@$(BIN)/python -m tests.bench.embedding

bench-memory: install ## Search among 100,000 memories over HTTP, beside the same SQL by pgbench
	@$(BIN)/python -m tests.bench.memory $(BENCH_ARGS)

bench-migration: install ## Another model for 100,000 memories while they are searched; BENCH_ARGS=--kill kills it once
	@$(BIN)/python -m tests.bench.migration $(BENCH_ARGS)

bench-discord: install ## How long Discord waits for its acknowledgement, beside a bare handler that verifies
	@$(BIN)/python -m tests.bench.discord $(BENCH_ARGS)

clean: ## Remove what was installed and every local state
	rm -rf .venv .facteur .facteur-demo .cluster .codex-cli .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
