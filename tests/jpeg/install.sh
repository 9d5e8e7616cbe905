#!/bin/sh
# Installs libjpeg-turbo's djpeg from Debian where it is missing.
set -eu

command -v djpeg >/dev/null && exit
apt-get update -qq
apt-get install --yes --quiet --no-install-recommends libjpeg-turbo-progs
