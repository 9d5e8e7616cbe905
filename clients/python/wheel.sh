#!/bin/sh
# Builds the wheel of the client and the server's binary, by default into target/wheels: wheel.sh [MATURIN ARGUMENT...].
# The binary is that of `cargo build --release` (PROFILE=dev: of `cargo build`), so nothing is built twice.
set -eu

cd "$(dirname "$0")/../.."
tests/clients/install.sh
maturin=$PWD/tests/clients/.venv/bin/maturin
cd clients/python
exec "$maturin" build --locked --profile "${PROFILE:-release}" "$@"
