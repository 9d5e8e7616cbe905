"""Prints how many dependencies a binary records, and fails unless they are the locked ones: dependencies.py BINARY.

cargo-auditable compresses them into the section .dep-v0. objcopy, which reads it, belongs to the linker."""

import json
import subprocess
import sys
import tempfile
import tomllib
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def recorded(binary):
    with tempfile.TemporaryDirectory() as folder:
        section = Path(folder) / "section"
        command = ["objcopy", "--dump-section", f".dep-v0={section}", binary, "/dev/null"]
        subprocess.run(command, check=True)
        packages = json.loads(zlib.decompress(section.read_bytes()))["packages"]
    return {(package["name"], package["version"]) for package in packages if package.get("kind") != "build"}


def locked():
    packages = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    return {(package["name"], package["version"]) for package in packages}


if __name__ == "__main__":
    found = recorded(sys.argv[1])
    assert found <= locked(), f"not in Cargo.lock: {sorted(found - locked())}"
    assert {"anywidth", "tract-onnx", "hyper"} <= {name for name, _ in found}, sorted(found)
    print(f"{len(found)} dependencies are recorded")
