#!/bin/sh
# Installs what the tests of deploy/ need, builds static binaries, and runs the tests: test.sh [ARGUMENT OF PYTEST...].
set -eu

cd "$(dirname "$0")/../.."
tests/deploy/install.sh
# Unoptimised dependencies, which other tests have built: nothing here measures times.
PROFILE=dev deploy/docker/binaries.sh
exec tests/deploy/.venv/bin/python -m pytest -q -p no:cacheprovider tests/deploy "$@"
