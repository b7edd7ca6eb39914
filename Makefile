# Every target installs what it needs; nothing has to be there but Python 3.11+ with venv, and make.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# As many tests at once as there are cores, four at most (an engine takes 2 GB); those of one file one after another.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
K8S_TESTS := tests/contract/test_placements.py tests/contract/test_orchestrator.py

.DEFAULT_GOAL := help
.PHONY: help run-api dev dev-stop test-s3-ceph bench bench-harness bench-gateway bench-telemetry test test-k8s test-node deploy-k8s undeploy-k8s check lint types contracts test-science unit fuzz-api reference clean

help: ## Show these lines
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):[^#]*## ?/\1\t/' | expand -t 15

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing TokenForge into $(VENV) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

run-api: $(READY) ## Run the platform here: one API over all runtimes (ARGS="--port 8080")
	@$(BIN)/tokenforge up $(ARGS)

dev: $(READY) ## PostgreSQL, S3, Prometheus and the platform on them with a stub worker, without Docker (ARGS="--port 0")
	@$(BIN)/python dev/stack.py start $(ARGS)

dev-stop: $(READY) ## End what `make dev` started; nothing is left
	@$(BIN)/python dev/stack.py stop

test-s3-ceph: $(READY) ## The artifact store's contract on Ceph's S3 server (Debian: radosgw ceph-mon ceph-osd ceph-mgr)
	@$(BIN)/python dev/ceph.py -- $(BIN)/python -m pytest tests/contract/test_blobs_contract.py $(ARGS)

bench: $(READY) ## Benchmark a small model on vLLM and Transformers, write the report (FILE=... for another)
	@$(BIN)/tokenforge bench $(or $(FILE),configs/benchmark.yaml) $(ARGS)

bench-harness: $(READY) ## Measure load generators side by side against a server of known truth (ARGS=--quick, --ours)
	@$(BIN)/python benchmarks/harness/run.py $(ARGS)

bench-gateway: $(READY) ## Measure the gateway beside nginx, Rust routers, LiteLLM, Portkey (ARGS=--quick, --fire)
	@$(BIN)/python benchmarks/gateway/run.py $(ARGS)

bench-telemetry: $(READY) ## Measure what metrics and traces cost the gateway and the load generator (ARGS="--quads 8")
	@PYTHONPATH=benchmarks:tests/integration $(BIN)/python -m telemetry $(ARGS)

test: $(READY) ## Run all tests: unit, contract, integration with real engines, end to end
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-k8s: $(READY) ## Run the tests of clusters on KUBECONFIG's, or on a real control plane built here (ARGS="-k ...")
	@if [ -n "$$KUBECONFIG" ]; then $(BIN)/python -m pytest $(K8S_TESTS) --kubeconfig "$$KUBECONFIG" $(ARGS); \
	else PYTHONPATH=dev $(BIN)/python -m servers.kubernetes $(BIN)/python -m pytest $(K8S_TESTS) --kubeconfig "{kubeconfig}" --restart-api "{restart}" --api-faults 30 --timeout 900 $(ARGS); fi

test-node: $(READY) ## Run the platform on a real node built here: images, deploy-k8s, pods, undeploy-k8s (root, no Docker)
	@images="$$(dev/servers/build-images)" && PYTHONPATH=dev $(BIN)/python -m servers.node $$(printf -- '--image %s ' $$images) -- \
	$(abspath $(BIN))/python -m pytest tests/e2e/test_on_a_node.py -m node --kubeconfig "{kubeconfig}" --timeout 900 $(ARGS)

deploy-k8s: ## Put the platform on kubectl's cluster, wait, print its address (ARGS=path/of/an/overlay)
	@deploy/kubernetes/deploy $(ARGS)

undeploy-k8s: ## Take the platform and its deployments off kubectl's cluster (ARGS=--all: the namespace too)
	@deploy/kubernetes/undeploy $(ARGS)

test-science: $(READY) ## Run the statistical tests with their full repeats, print what they found (ARGS="--seed 7")
	@$(BIN)/python -m pytest -m science --timeout=1800 $(ARGS)

fuzz-api: $(READY) ## Fuzz the served OpenAPI document for longer (ARGS="--fuzz-examples 200")
	@$(BIN)/python -m pytest tests/e2e/test_api_fuzz.py --fuzz-examples 60 $(ARGS)

unit: $(READY) ## Run the fast tests only (no engine)
	@$(BIN)/python -m pytest $(PARALLEL) -m 'not engine and not science and not node' $(ARGS)

check: lint types contracts test ## What CI runs: lint, types, import contracts, tests

lint: $(READY) ## Lint and check the format
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(READY) ## Check types, strictly, tests too
	@$(BIN)/mypy

contracts: $(READY) ## Check that imports follow the architecture
	@$(BIN)/lint-imports

reference: $(READY) ## Write what is made from code: pages of docs/reference, the newest schema
	@$(BIN)/python -m tokenforge.report.validity_page > docs/reference/validity-codes.md
	@$(BIN)/python -m tokenforge.store.sql.migrate > src/tokenforge/store/sql/head.sql
	@for page in metrics traces logs; do $(BIN)/python -m tokenforge.telemetry.reference $$page > docs/reference/$$page.md; done
	@$(BIN)/python -m tokenforge.telemetry.boards .

clean: ## Remove the virtual environment and caches (not your runs)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
