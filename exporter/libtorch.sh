#!/bin/sh
# Installs the part of PyTorch that the exporter links (CPU only, 500 MB) into exporter/libtorch. Does nothing if it is
# installed. Needs python3 with pip; writes nothing outside that folder.
set -eu

version=2.11.0
here=$(cd "$(dirname "$0")" && pwd)
target=$here/libtorch

if [ -n "${LIBTORCH:-}${LIBTORCH_USE_PYTORCH:-}" ]; then
    echo "libtorch: using the one set in the environment (LIBTORCH or LIBTORCH_USE_PYTORCH)"
    exit 0
fi
if [ "$(cat "$target/torch/build-version" 2>/dev/null)" = "$version" ]; then
    echo "libtorch: $version is installed"
    exit 0
fi

echo "libtorch: fetching $version from PyPI: three files, 550 MB (a minute at 10 MB/s), of which 500 MB are kept in exporter/libtorch"
rm -rf "$target"
mkdir -p "$target/wheels"
# PyPI has no CPU-only wheel; libtorch_cpu.so of the CUDA 13 build needs two small NVIDIA libraries and no driver.
# pip draws its own progress bar on a terminal and prints the current file elsewhere.
python3 -m pip download --disable-pip-version-check --no-deps --only-binary=:all: --dest "$target/wheels" \
    "torch==$version" "nvidia-cuda-runtime==13.0.*" "nvidia-cuda-cupti==13.0.*"
echo "libtorch: unpacking"
python3 - "$target" <<'PYTHON'
import re, sys, zipfile
from pathlib import Path

target = Path(sys.argv[1])
wanted = re.compile(
    r"torch/include/.*|torch/version\.py|torch/lib/(libtorch_cpu|libtorch|libc10)\.so|torch/lib/libgomp.*"
    r"|nvidia/cu13/lib/lib(cudart|cupti)\.so\.13"
)
for wheel in (target / "wheels").glob("*.whl"):
    with zipfile.ZipFile(wheel) as files:
        files.extractall(target, [name for name in files.namelist() if wanted.fullmatch(name)])
PYTHON
rm -rf "$target/wheels"
# torch-sys reads this file; it is written last, and so also marks the installation as complete.
printf '%s' "$version" > "$target/torch/build-version"
echo "libtorch: $version is ready in exporter/libtorch"
