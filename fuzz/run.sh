#!/bin/sh
# Runs each fuzz target for FUZZ_SECONDS (60): run.sh [TARGET...]. Installs what it needs where it is missing.
set -eu

cd "$(dirname "$0")/.."
command -v cargo-fuzz >/dev/null || ${CARGO:-cargo} install --locked --version 0.13.2 cargo-fuzz
tests/jpeg/install.sh
# A stable compiler accepts the options of coverage and sanitizers with this alone.
export RUSTC_BOOTSTRAP=1
export ANYWIDTH_DJPEG="${ANYWIDTH_DJPEG:-djpeg}"

[ $# -gt 0 ] || set -- jpeg onnx parameters multipart
for target in "$@"; do
    seeds=fuzz/seeds/$target
    case $target in
        jpeg) seeds="$seeds tests/images src/image/fixtures" ;;
        onnx) seeds="$seeds tests/data/onnx" ;;
    esac
    mkdir -p "fuzz/corpus/$target"
    # shellcheck disable=SC2086 # each folder is a word
    ${CARGO:-cargo} fuzz run "$target" "fuzz/corpus/$target" $seeds -- \
        -max_total_time="${FUZZ_SECONDS:-60}" -max_len=16384 -timeout=20 -rss_limit_mb=4096
done
