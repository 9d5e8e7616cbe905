#!/bin/sh
# Installs the requirements of the tests of Python clients, builds the server, checks the client of clients/python, and runs
# the tests: test.sh [PYTEST ARGUMENT...].
set -eu

cd "$(dirname "$0")/../.."
venv=tests/clients/.venv
if ! cmp -s tests/clients/requirements.txt $venv/installed; then
    ${PYTHON:-python3} -m venv $venv
    $venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/clients/requirements.txt
    cp tests/clients/requirements.txt $venv/installed
fi
(
    cd clients/python
    bin=../../$venv/bin
    $bin/ruff check --quiet --no-cache
    $bin/ruff format --quiet --no-cache --check
    $bin/mypy --no-error-summary --cache-dir=/dev/null
)
# The same profile as other tests, so little is built; these tests do not measure time.
[ -n "${ANYWIDTH_BINARY:-}" ] || ${CARGO:-cargo} build --locked
export PYTHONPATH="$PWD/clients/python/src:$PWD/tests/clients"
exec $venv/bin/python -B -m pytest -q -p no:cacheprovider tests/clients clients/python/tests "$@"
