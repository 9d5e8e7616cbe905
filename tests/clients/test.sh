#!/bin/sh
# Installs the requirements of the tests of Python clients, builds the server, and runs them: test.sh [PYTEST
# ARGUMENT...].
set -eu

cd "$(dirname "$0")/../.."
venv=tests/clients/.venv
if ! cmp -s tests/clients/requirements.txt $venv/installed; then
    ${PYTHON:-python3} -m venv $venv
    $venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/clients/requirements.txt
    cp tests/clients/requirements.txt $venv/installed
fi
# The same profile as other tests, so little is built; these tests do not measure time.
${CARGO:-cargo} build --locked
exec $venv/bin/python -m pytest -q -p no:cacheprovider tests/clients "$@"
