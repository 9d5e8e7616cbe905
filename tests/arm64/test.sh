#!/bin/sh
# Runs the tests of the library without the server (engine, image, policy, dataset) and those of the kernels' machine code on
# arm64: test.sh [FILTER]. Elsewhere under QEMU, which shows that the NEON kernels compute the right values, and nothing about
# their speed.
set -eu

cd "$(dirname "$0")/../.."
cargo=${CARGO:-cargo}
if [ "$(uname -m)" != aarch64 ]; then
    tools=${CARGO_TARGET_DIR:-target}/arm64-tools
    mkdir -p "$tools/bin"
    tools=$(cd "$tools" && pwd)
    tests/arm64/install.sh "$tools/rust"
    [ ! -x "$tools/rust/rustc" ] || export RUSTC="$tools/rust/rustc"
    # The tests of the machine code call them by these names.
    for program in objdump addr2line; do
        ln -sf "$(command -v aarch64-linux-gnu-$program)" "$tools/bin/$program"
    done
    export PATH="$tools/bin:$PATH"
    export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/arm64"
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
    cargo="deploy/docker/cross.sh arm64 $cargo"
fi
$cargo test --locked --no-default-features --lib -- "$@"
# As `make test-kernels` does; they disassemble the binary, so this builds the server.
$cargo test --locked --config profile.dev.package.anywidth.debug-assertions=false \
    --config profile.dev.package.anywidth.overflow-checks=false --test kernels
