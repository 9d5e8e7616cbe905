#!/bin/sh
# Builds static binaries: binaries.sh [FOLDER [PACKAGE [ARGUMENT OF CARGO...]]], by default `anywidth` and `anywidth-load` into
# target/static, where the Dockerfile looks for those that it does not build. PROFILE=dev is quicker to build and slower to run.
#
# Only the last step, which links the binary, is told to link statically; what it links is what any build makes. So little
# is built twice, macros and build scripts stay as they are, and no architecture is named.
set -eu

cd "$(dirname "$0")/../.."
profile=${PROFILE:-release}
into=${1:-target/static}
built=${CARGO_TARGET_DIR:-target}/$(echo "$profile" | sed 's/^dev$/debug/')

build() {
    package=$1
    shift
    ${CARGO:-cargo} rustc --locked --profile "$profile" --package "$package" --bin "$package" "$@" \
        -- -C target-feature=+crt-static -C strip=symbols
    cp "$built/$package" "$into/$package"
}

mkdir -p "$into"
if [ $# -ge 2 ]; then
    shift
    build "$@"
else
    build anywidth
    # With all features of the library it links what is built already.
    build anywidth-load --features anywidth/server
fi
