#!/bin/sh
# Runs a command that compiles for an architecture, in the names of Docker and Debian: cross.sh ARCHITECTURE COMMAND... On
# that architecture it only runs the command. On another it first installs a cross linker from Debian and Rust's standard
# library through rustup, where they are missing.
set -eu

wanted=$1
shift
if [ "$wanted" != "$(dpkg --print-architecture)" ]; then
    case $wanted in
        amd64) machine=x86_64 package=gcc-x86-64-linux-gnu ;;
        arm64) machine=aarch64 package=gcc-aarch64-linux-gnu ;;
        *) echo "cross: amd64 and arm64 are supported, not $wanted" >&2; exit 2 ;;
    esac
    target=$machine-unknown-linux-gnu
    gcc=$machine-linux-gnu-gcc
    if ! command -v $gcc >/dev/null; then
        apt-get update -qq
        apt-get install -qq --yes --no-install-recommends $package "libc6-dev-$wanted-cross" >/dev/null
    fi
    [ -d "$("${RUSTC:-rustc}" --print sysroot)/lib/rustlib/$target" ] || rustup target add $target
    export CARGO_BUILD_TARGET=$target
    export "CC_${machine}_unknown_linux_gnu=$gcc"
    export "CARGO_TARGET_$(echo $machine | tr '[:lower:]' '[:upper:]')_UNKNOWN_LINUX_GNU_LINKER=$gcc"
fi
exec "$@"
