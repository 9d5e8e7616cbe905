#!/bin/sh
# Builds the images with all stages of the Dockerfile, and checks that the server's is below 40 MB, becomes healthy with
# a read-only root, stops with exit code 0, and records its dependencies. `make test-deploy` tests the rest, with prebuilt
# binaries.
set -eu

cd "$(dirname "$0")/../.."
tag=test-full-$$
container=
work=$(mktemp -d)
clean_up() {
    rm -rf "$work"
    [ -z "$container" ] || docker rm --force "$container" >/dev/null
    docker rmi --force "anywidth:$tag" "anywidth-load:$tag" >/dev/null 2>&1 || true
}
trap clean_up EXIT

deploy/docker/build.sh "$tag"
bytes=$(docker image inspect --format '{{.Size}}' "anywidth:$tag")
echo "image: $bytes bytes"
[ "$bytes" -lt 40000000 ]

container=$(docker run --detach --read-only --cap-drop ALL --security-opt no-new-privileges "anywidth:$tag")
for _ in $(seq 60); do
    health=$(docker inspect --format '{{.State.Health.Status}}' "$container")
    [ "$health" != healthy ] || break
    sleep 1
done
[ "$health" = healthy ]
docker stop "$container" >/dev/null
code=$(docker inspect --format '{{.State.ExitCode}}' "$container")
echo "image: healthy, and stopped with exit code $code"
[ "$code" = 0 ]
docker cp "$container:/anywidth" "$work/anywidth"
echo "image: $(python3 tests/deploy/dependencies.py "$work/anywidth")"
