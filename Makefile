# Two commands on a fresh machine (Python 3.11, git, make):  make demo   make test
PYTHON ?= python3.11
BIN := .venv/bin
DATA ?= ../data
WITH_DATA := detector planted obfuscation generalisation detoxification utility defences ocr third_party

.DEFAULT_GOAL := help
.PHONY: help demo test proof check format bench clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

.venv/base: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	touch $@

# torch is pinned to a build that exists for CPUs alone; without it pip takes gigabytes of CUDA.
.venv/dev: .venv/base
	$(BIN)/python -m pip install -q --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev,train]'
	touch $@

demo: .venv/base  ## guard the example exchanges with the embedded default
	mkdir -p build
	$(BIN)/mllm-protector protect examples/exchanges.jsonl -o build/demo.jsonl --overwrite --table
	@echo "Every step and score: build/demo.jsonl"

test: .venv/dev  ## run the tests
	$(BIN)/python -m pytest

# litellm's proxy pins much of what we do too, so it lives in an environment of its own.
.venv-proof/done: pyproject.toml
	test -x .venv-proof/bin/python || $(PYTHON) -m venv .venv-proof
	.venv-proof/bin/python -m pip install -q --disable-pip-version-check -e '.[gateway]' 'litellm[proxy]>=1.80' openai pytest hypothesis
	touch $@

proof: .venv-proof/done  ## run the litellm proxy itself in front of the gateway's guardrail route
	.venv-proof/bin/python -m pytest tests/proof/proof_litellm.py

check: .venv/dev  ## lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests --exclude 'tests/fixtures'
	$(BIN)/lint-imports

format: .venv/dev  ## put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/dev  ## run the benchmarks; DATA=folder of the labelled data (latency, scale and gateway need none)
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/gateway.py
	@if [ -d "$(DATA)" ]; then set -e; for b in $(WITH_DATA); do \
	  $(BIN)/python benchmarks/$$b.py --data "$(DATA)"; done; \
	else echo "no data at '$(DATA)': pass DATA=folder to run $(WITH_DATA)"; fi

clean:  ## remove what was built
	rm -rf .venv .venv-proof build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
