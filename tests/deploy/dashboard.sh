#!/bin/sh
# Draws docs/images/overview.png: plays a burst against a server that a real Prometheus watches, and draws the dashboard from
# what that saw. Minutes; wants two quiet cores.
set -eu

cd "$(dirname "$0")/../.."
PROFILE=${PROFILE:-release} deploy/docker/binaries.sh
tests/deploy/install.sh
tests/deploy/.venv/bin/pip install --quiet --disable-pip-version-check matplotlib==3.11.2
exec tests/deploy/.venv/bin/python tests/deploy/dashboard.py docs/images/overview.png
