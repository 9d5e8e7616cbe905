# `make test` runs every test; `make help` lists the rest.

PYTHON ?= python3
CARGO ?= cargo
# Triton's Python backend contains CPython 3.11, which loads the standard library of this one.
TRITON_PYTHON ?= /usr/bin/python3

.DEFAULT_GOAL := help
.PHONY: help demo trainer test test-rust test-kernels test-arm64 test-server test-load test-browser test-clients test-deploy test-image test-exporter test-pytorch lint libtorch docs proto wheel bench bench-load bound fuzz \
	screenshots deny images

help: ## Lists the targets.
	@grep -hE '^[a-z.-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: ## Runs the server under load and writes a report: needs Rust and curl; half a minute after the build.
	@CARGO='$(CARGO)' loadgen/demo.sh

trainer: ## Builds the trainer and the server for docs/your-own-images.md: 13 minutes on two shared cores.
	@echo "make trainer, step 1 of 3: a part of PyTorch from PyPI (550 MB to fetch, 500 MB to keep; once)"
	@exporter/libtorch.sh
	@echo "make trainer, step 2 of 3: the trainer, about 260 packages (most of about 13 minutes on two shared cores; less for an incremental build)"
	cd exporter && $(CARGO) build --release --locked
	@echo "make trainer, step 3 of 3: the server (a few minutes; less for an incremental build)"
	$(CARGO) build --release --locked
	@echo "ready: exporter/target/release/exporter and target/release/anywidth; next: docs/your-own-images.md, \"2. Train\""

test: test-rust test-clients test-deploy test-exporter ## Installs the requirements of all tests, then runs them.

# One command for the workspace, so that shared crates are built once.
test-rust:
	tests/browser/install.sh
	tests/jpeg/install.sh
	ANYWIDTH_DJPEG=djpeg $(CARGO) test --locked --workspace
	$(MAKE) test-kernels
	# The crate as it would be published builds from what it contains.
	$(CARGO) package --locked --allow-dirty --package anywidth

# With release checks: those of a debug build are inside the loops. Only this package is recompiled.
test-kernels: ## Checks the machine code of the kernels: no accumulator may spill to the stack.
	$(CARGO) test --locked --config profile.dev.package.anywidth.debug-assertions=false \
		--config profile.dev.package.anywidth.overflow-checks=false --test kernels

test-arm64: ## Runs the tests of the engine on arm64, elsewhere under QEMU; installs a cross compiler, QEMU and Rust for arm64 from Debian, which needs root.
	CARGO='$(CARGO)' tests/arm64/test.sh

test-server: ## Runs the tests of the server; needs only Rust.
	$(CARGO) test --locked

test-load: ## Runs the tests of the load generator and the simulator.
	$(CARGO) test --locked --package anywidth-load

test-browser: ## Runs the tests of the page in Chromium; installs Chromium if it is missing.
	tests/browser/install.sh
	$(CARGO) test --locked --package anywidth-browser-tests

test-clients: ## Checks and tests clients/python, its wheel and notebook, and a client generated from the OpenAPI description; installs from PyPI.
	CARGO='$(CARGO)' tests/clients/test.sh

test-deploy: ## Runs the tests of deploy/; installs Prometheus, HAProxy and nginx from Debian, which needs root; needs a Docker engine.
	tests/deploy/test.sh

test-image: ## Builds the Docker images from their bases, and checks their size and that they run; takes minutes.
	tests/deploy/image.sh

images: ## Builds the Docker images of the server and of the load generator.
	deploy/docker/build.sh

test-exporter: libtorch .venv ## Runs the tests of the exporter, which compare with ONNX Runtime and libtorch.
	cd exporter && $(CARGO) test --locked

test-pytorch: ## Exports networks with PyTorch, runs examples/pytorch, and tests the files; downloads 2.5 GB, needs 5 GB of disk.
	tests/pytorch/test.sh

lint: libtorch ## Checks formatting and lints, as CI does.
	$(CARGO) fmt --check
	cd exporter && $(CARGO) fmt --check
	cd fuzz && $(CARGO) fmt --check
	cd benches/dense_server && $(CARGO) fmt --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --lib --no-default-features -- -D warnings
	$(CARGO) clippy --locked --manifest-path fuzz/Cargo.toml --target-dir target -- -D warnings
	$(CARGO) clippy --locked --manifest-path benches/dense_server/Cargo.toml --target-dir target -- -D warnings
	cd exporter && $(CARGO) clippy --locked --all-targets -- -D warnings

libtorch: ## Installs the part of PyTorch that the exporter links, in exporter/libtorch.
	exporter/libtorch.sh

# The stamp marks a complete installation; an interrupted one is repeated.
.venv: .venv/installed
.venv/installed: tests/requirements.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
	touch $@
.PHONY: .venv

docs: ## Writes the generated pages of docs/: settings, metrics, API.
	ANYWIDTH_WRITE_DOCS=1 $(CARGO) test --locked --test server -- documents:: openapi::

proto: ## Writes the gRPC code and descriptors that are generated from proto/.
	ANYWIDTH_WRITE_PROTO=1 $(CARGO) test --locked --test proto

wheel: ## Builds a wheel of the server and its Python client into target/wheels; installs maturin from PyPI.
	CARGO='$(CARGO)' clients/python/wheel.sh

bench: .venv ## Measures latency by width beside ONNX Runtime, OpenVINO, ncnn, MNN and tract (docs/benchmarks.md).
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement benches/requirements-peers.txt
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps pnnx==20261020
	$(CARGO) bench --locked --bench latency

bound: .venv ## Measures the distance of the server and the simulator to the clairvoyant optimum, by load; LABELLED names a folder of labelled images; takes two minutes on an idle machine.
	$(CARGO) build --locked --release --workspace --bins
	.venv/bin/pip install --quiet --requirement benches/requirements.txt
	.venv/bin/python benches/bound.py $(if $(LABELLED),--labelled $(LABELLED))

bench-load: .venv ## Sends bursts to the server, to dense networks behind ONNX Runtime, and to Triton; LABELLED names a folder of labelled images; takes five minutes on an idle machine after the build.
	$(CARGO) build --locked --release --workspace --bins
	$(CARGO) build --locked --release --manifest-path benches/dense_server/Cargo.toml
	$(TRITON_PYTHON) -m venv benches/.venv-triton
	benches/.venv-triton/bin/pip install --quiet --disable-pip-version-check --requirement benches/requirements-triton.txt
	.venv/bin/python benches/load.py --triton benches/.venv-triton/bin/python $(if $(LABELLED),--labelled $(LABELLED))

fuzz: ## Fuzzes every parser of foreign bytes for FUZZ_SECONDS each, 60 by default; installs cargo-fuzz where it is missing.
	CARGO='$(CARGO)' fuzz/run.sh

screenshots: ## Takes the screenshots in docs/images.
	tests/browser/install.sh
	$(CARGO) build --locked --release --workspace --bins
	target/release/screenshots docs/images

deny: ## Checks licences, sources and duplicates of the dependencies; needs cargo-deny.
	cargo-deny check bans licenses sources
	cargo-deny --config deny.toml --manifest-path exporter/Cargo.toml check bans licenses sources
