#!/bin/sh
# Installs Debian's Chromium and its driver, and the imports of the page's Python example, if they are missing.
set -eu

command -v chromium >/dev/null && command -v chromedriver >/dev/null && python3 -c 'import requests' 2>/dev/null && exit
apt-get update -qq
apt-get install --yes --quiet --no-install-recommends chromium chromium-driver python3-requests
