#!/bin/sh
# Draws docs/images/overview.png: the dashboard of a server during a burst, from a real Prometheus. Takes minutes, on
# two idle cores.
set -eu

cd "$(dirname "$0")/../.."
PROFILE=${PROFILE:-release} deploy/docker/binaries.sh
tests/deploy/install.sh
tests/deploy/.venv/bin/pip install --quiet --disable-pip-version-check matplotlib==3.11.2
exec tests/deploy/.venv/bin/python tests/deploy/dashboard.py docs/images/overview.png
