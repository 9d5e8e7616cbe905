# `make test` runs every test; `make help` lists the rest.

PYTHON ?= python3
CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help demo trainer test test-rust test-kernels test-server test-load test-browser test-clients test-deploy test-image test-exporter test-pytorch lint libtorch docs bench bound fuzz \
	screenshots deny images

help: ## Lists the targets.
	@grep -hE '^[a-z.-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: ## Shows the server under load, as a report: needs Rust and curl, and half a minute once it is built.
	@CARGO='$(CARGO)' loadgen/demo.sh

trainer: ## Builds the trainer and the server, as docs/your-own-images.md uses them: 13 minutes on two shared cores.
	@echo "make trainer, step 1 of 3: a part of PyTorch from PyPI (550 MB to fetch, 500 MB to keep; once)"
	@exporter/libtorch.sh
	@echo "make trainer, step 2 of 3: the trainer, about 260 packages (most of some 13 minutes on two shared cores; less when little changed)"
	cd exporter && $(CARGO) build --release --locked
	@echo "make trainer, step 3 of 3: the server (some minutes; less when little changed)"
	$(CARGO) build --release --locked
	@echo "ready: exporter/target/release/exporter and target/release/anywidth; next: docs/your-own-images.md, \"2. Train\""

test: test-rust test-clients test-deploy test-exporter ## Installs what the tests need, then runs all of them.

# In one go, for what they share is built once then.
test-rust:
	tests/browser/install.sh
	tests/jpeg/install.sh
	ANYWIDTH_DJPEG=djpeg $(CARGO) test --locked --workspace
	$(MAKE) test-kernels

# As a release compiles them: the checks of a debug build lie within the loops. Only our own code is compiled anew.
test-kernels: ## Looks at the machine code of the kernels: no sum may be kept on the stack.
	$(CARGO) test --locked --config profile.dev.package.anywidth.debug-assertions=false \
		--config profile.dev.package.anywidth.overflow-checks=false --test kernels

test-server: ## Runs the tests of the server; needs nothing installed.
	$(CARGO) test --locked

test-load: ## Runs the tests of the load generator and the simulator.
	$(CARGO) test --locked --package anywidth-load

test-browser: ## Runs the tests of the page in Chromium, which it installs where it is missing.
	tests/browser/install.sh
	$(CARGO) test --locked --package anywidth-browser-tests

test-clients: ## Runs the tests of Python clients, one of them generated from the API's description; installs them from PyPI.
	CARGO='$(CARGO)' tests/clients/test.sh

test-deploy: ## Runs the tests of deploy/: installs Prometheus, HAProxy and nginx from Debian; needs root for that, and Docker's engine.
	tests/deploy/test.sh

test-image: ## Builds the images from nothing but their bases, and sees that they are small and run: minutes.
	tests/deploy/image.sh

images: ## Builds the Docker images of the server and of the load generator.
	deploy/docker/build.sh

test-exporter: libtorch .venv ## Runs the tests of the exporter, with ONNX Runtime and libtorch as peers.
	cd exporter && $(CARGO) test --locked

test-pytorch: ## Exports networks with PyTorch, runs examples/pytorch, and tests what they wrote: a download of 2.5 GB, 5 GB of disk.
	tests/pytorch/test.sh

lint: libtorch ## Formatting and lints, as the gate runs them.
	$(CARGO) fmt --check
	cd exporter && $(CARGO) fmt --check
	cd fuzz && $(CARGO) fmt --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --lib --no-default-features -- -D warnings
	cd exporter && $(CARGO) clippy --locked --all-targets -- -D warnings

libtorch: ## Puts the part of PyTorch that the exporter links into exporter/libtorch.
	exporter/libtorch.sh

# Complete only once the stamp is there: an interrupted installation is done again.
.venv: .venv/installed
.venv/installed: tests/requirements.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
	touch $@
.PHONY: .venv

docs: ## Writes the pages of docs/ that are generated: settings, metrics, the API.
	ANYWIDTH_WRITE_DOCS=1 $(CARGO) test --locked --test documents --test openapi

bench: .venv ## Latency per width beside ONNX Runtime and tract: docs/benchmarks.md.
	$(CARGO) bench --locked --bench latency

bound: .venv ## Distance of the server and the simulator to the clairvoyant optimum, by load: two minutes, on a quiet machine.
	$(CARGO) build --locked --release --workspace --bins
	.venv/bin/pip install --quiet --requirement benches/requirements.txt
	.venv/bin/python benches/bound.py

fuzz: ## Fuzzes every parser of foreign bytes for FUZZ_SECONDS each, 60 by default; installs cargo-fuzz where it is missing.
	CARGO='$(CARGO)' fuzz/run.sh

screenshots: ## Takes the screenshots of page and terminal in docs/images.
	tests/browser/install.sh
	$(CARGO) build --locked --release --workspace --bins
	target/release/screenshots docs/images

deny: ## Licences, sources and duplicates of the dependencies; needs cargo-deny.
	cargo-deny check bans licenses sources
	cargo-deny --config deny.toml --manifest-path exporter/Cargo.toml check bans licenses sources
