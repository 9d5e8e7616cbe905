#!/bin/sh
# Installs Debian's Chromium and its driver where they are missing.
set -eu

command -v chromium >/dev/null && command -v chromedriver >/dev/null && exit
apt-get update -qq
apt-get install --yes --quiet --no-install-recommends chromium chromium-driver
