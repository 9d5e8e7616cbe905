#!/bin/sh
# Installs the requirements of the tests of deploy/, builds static binaries, and runs the tests: test.sh [PYTEST
# ARGUMENT...].
set -eu

cd "$(dirname "$0")/../.."
tests/deploy/install.sh
# Unoptimised dependencies, shared with other tests: these tests do not measure time.
PROFILE=dev deploy/docker/binaries.sh
exec tests/deploy/.venv/bin/python -m pytest -q -p no:cacheprovider tests/deploy "$@"
