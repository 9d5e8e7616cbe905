#!/bin/sh
# Installs the requirements of the tests of deploy/: Debian packages for missing programs, the rest into
# tests/deploy/.venv.
set -eu

cd "$(dirname "$0")/../.."
venv=tests/deploy/.venv

missing=
need() {
    command -v "$1" >/dev/null || missing="$missing $2"
}
need promtool prometheus
need haproxy haproxy
need nginx nginx-light
if command -v docker >/dev/null; then
    docker compose version >/dev/null 2>&1 || need docker-compose docker-compose
fi
if [ -n "$missing" ]; then
    apt-get update -qq
    # shellcheck disable=SC2086 # one word per package
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends $missing >/dev/null
fi
if ! cmp -s tests/deploy/requirements.txt $venv/installed; then
    ${PYTHON:-python3} -m venv $venv
    $venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/deploy/requirements.txt
    cp tests/deploy/requirements.txt $venv/installed
fi
