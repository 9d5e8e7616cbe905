#!/bin/sh
# Builds the images `anywidth` and `anywidth-load`: build.sh [TAG], by default the version. PREBUILT=1 takes the
# binaries from target/static instead of compiling them in the image build. PLATFORM=linux/arm64 builds for another
# architecture than this machine's.
set -eu

cd "$(dirname "$0")/../.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
tag=${1:-$version}
binaries=built
[ -z "${PREBUILT:-}" ] || binaries=prebuilt

# Uses buildx if it is installed, otherwise the BuildKit of an older engine through a client of the same age.
build() {
    if docker buildx version >/dev/null 2>&1; then
        docker buildx build --load "$@"
        return
    fi
    for client in $(which -a docker); do
        case $("$client" --version) in
            *" 20."* | *" 19."*)
                DOCKER_BUILDKIT=1 "$client" build "$@"
                return
                ;;
        esac
    done
    echo "build: BuildKit is needed: docker with buildx, or a client of version 20" >&2
    return 1
}

[ "$binaries" = prebuilt ] || deploy/docker/bases.sh
for target in server load; do
    name=anywidth
    [ $target = server ] || name=anywidth-load
    build ${PLATFORM:+--platform "$PLATFORM"} --target $target --tag "$name:$tag" --build-arg "BINARIES=$binaries" --build-arg "VERSION=$version" \
        --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)" .
done
