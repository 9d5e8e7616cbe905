#!/bin/sh
# Installs the requirements of the tests of Python clients, checks clients/python, builds the server, and runs the tests:
# test.sh [PYTEST ARGUMENT...]. If ANYWIDTH_BINARY names a server, that is tested; PROFILE is then the profile of the wheel.
set -eu

cd "$(dirname "$0")/../.."
tests/clients/install.sh
bin=$PWD/tests/clients/.venv/bin
(
    cd clients/python
    "$bin/ruff" check --quiet --no-cache
    "$bin/ruff" format --quiet --no-cache --check
    "$bin/mypy" --no-error-summary --cache-dir=/dev/null
)
# The same profile as other tests, so little is built; these tests do not measure time.
[ -n "${ANYWIDTH_BINARY:-}" ] || ${CARGO:-cargo} build --locked
export PYTHONPATH="$PWD/clients/python/src:$PWD/tests/clients"
"$bin/python" -B -m pytest -q -p no:cacheprovider --ignore tests/clients/kserve_client tests/clients clients/python/tests "$@"
# Options such as -k select among the tests above.
[ $# -gt 0 ] || tests/clients/.venv-kserve/bin/python -B -m pytest -q -p no:cacheprovider tests/clients/kserve_client
