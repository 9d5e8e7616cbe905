#!/bin/sh
# Installs the requirements of the tests of Python clients, and maturin, into tests/clients/.venv.
set -eu

cd "$(dirname "$0")/../.."
venv=tests/clients/.venv
if ! cmp -s tests/clients/requirements.txt $venv/installed; then
    ${PYTHON:-python3} -m venv $venv
    $venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/clients/requirements.txt
    cp tests/clients/requirements.txt $venv/installed
fi
