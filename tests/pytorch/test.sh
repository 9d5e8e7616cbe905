#!/bin/sh
# Exports the networks of this folder with PyTorch, runs the example of docs/model-files.md, and tests what they wrote with the
# engine: test.sh [--write]. With --write, the committed files become those. Installs PyTorch into tests/pytorch/.venv (5 GB).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/pytorch
python=$here/.venv/bin/python
: "${PYTHON:=python3}" "${CARGO:=cargo}"

if [ "$(cat "$here/.venv/installed" 2> /dev/null)" != "$(cat "$here/requirements.txt")" ]; then
    echo "Installing PyTorch into tests/pytorch/.venv: a download of 2.5 GB."
    "$PYTHON" -m venv "$here/.venv"
    "$python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$here/.venv/installed"
fi

cd "$root"
"$CARGO" build --locked
PATH=$root/target/debug:$PATH
rm -rf "$work"
mkdir -p "$work"

# More threads than free cores wait for each other, and the networks are small.
export OMP_NUM_THREADS=1

echo "Exporting networks with PyTorch: two minutes."
compare="--compare $here/models"
[ "${1:-}" != --write ] || compare=
# shellcheck disable=SC2086 # two words, or none
"$python" "$here/generate.py" "$work/models" $compare

echo "Running the example: half a minute."
cp "$root"/examples/pytorch/*.py "$work"
cd "$work"
"$python" digits.py digits
"$python" train.py digits/train --size 8 --grey --output example/models/digits/1/model.onnx
anywidth label example/models/digits/1/model.onnx --labels digits/train --set 'preprocessing={"filter": "lanczos"}' --evaluate digits/test
cp -r digits/test example/images

if [ "${1:-}" = --write ]; then
    rm -rf "$here/models" "$here/example"
    cp -r models "$here/models"
    cp -r example "$here/example"
    PYTHONPATH=$here "$python" -c 'import pathlib, sys, generate; generate.forget_where(pathlib.Path(sys.argv[1]))' \
        "$here/example/models/digits/1/model.onnx"
    # One image of each class is enough.
    for class in "$here"/example/images/*; do
        find "$class" -type f | sort | tail -n +2 | xargs rm
    done
fi

cd "$root"
ANYWIDTH_PYTORCH=$work "$CARGO" test --locked --test server -- pytorch::
