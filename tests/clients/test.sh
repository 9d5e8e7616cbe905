#!/bin/sh
# Installs what the tests of Python clients need, builds the server, and runs them: test.sh [ARGUMENT OF PYTEST...].
set -eu

cd "$(dirname "$0")/../.."
venv=tests/clients/.venv
if ! cmp -s tests/clients/requirements.txt $venv/installed; then
    ${PYTHON:-python3} -m venv $venv
    $venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/clients/requirements.txt
    cp tests/clients/requirements.txt $venv/installed
fi
# As other tests have built it: nothing here measures times.
${CARGO:-cargo} build --locked
exec $venv/bin/python -m pytest -q -p no:cacheprovider tests/clients "$@"
