#!/bin/sh
# Installs the requirements of the tests of Python clients, and maturin, into tests/clients/.venv and .venv-kserve.
set -eu

cd "$(dirname "$0")/../.."

# install VENV REQUIREMENTS
install() {
    if ! cmp -s "$2" "$1/installed"; then
        ${PYTHON:-python3} -m venv "$1"
        "$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$2"
        cp "$2" "$1/installed"
    fi
}

install tests/clients/.venv tests/clients/requirements.txt
install tests/clients/.venv-kserve tests/clients/kserve_client/requirements.txt
