#!/bin/sh
# Builds static binaries: binaries.sh [FOLDER [PACKAGE [CARGO ARGUMENT...]]], by default `anywidth` and `anywidth-load`
# into target/static, where the Dockerfile looks for prebuilt ones. PROFILE=dev builds faster; the binaries are slower.
# AUDITABLE=1 records the dependencies in the binaries and needs cargo-auditable. deploy/docker/cross.sh builds for another
# architecture.
#
# Only the final link step is static, so all other artifacts are shared with ordinary builds, macros and build scripts
# are unaffected, and no architecture is named.
set -eu

cd "$(dirname "$0")/../.."
profile=${PROFILE:-release}
into=${1:-target/static}
built=${CARGO_TARGET_DIR:-target}/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}$(echo "$profile" | sed 's/^dev$/debug/')

build() {
    package=$1
    shift
    # shellcheck disable=SC2086 # two words, or one
    ${CARGO:-cargo} ${AUDITABLE:+auditable} rustc --locked --profile "$profile" --package "$package" --bin "$package" "$@" \
        -- -C target-feature=+crt-static -C strip=symbols
    cp "$built/$package" "$into/$package"
}

mkdir -p "$into"
if [ $# -ge 2 ]; then
    shift
    build "$@"
else
    build anywidth
    # With all features of the library, to reuse what is already built.
    build anywidth-load --features anywidth/server
fi
