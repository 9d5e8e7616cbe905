"""Starts a server on a free port, for the tests here and those of clients/python."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Another binary is tested if ANYWIDTH_BINARY names it.
BINARY = Path(os.environ.get("ANYWIDTH_BINARY") or ROOT / "target/debug/anywidth")
# A small network, and a target that is never missed: these tests do not measure time.
SETTINGS = [
    "--port=0",
    "--default-model=cifar10-lenet",
    "--default-budget-ms=3600000",
    "--log=warn",
]


@contextmanager
def serve(binary: Path = BINARY) -> Iterator[str]:
    """The URL of a running server."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ANYWIDTH_")
    }
    command: list[str | Path] = [binary, "serve", *SETTINGS]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield _url(server)
    finally:
        server.terminate()
        status = server.wait(timeout=30)
    assert status == 0


def _url(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    for line in server.stdout:
        if "listens on " in line:
            return line.split("listens on ")[1].strip()
    raise AssertionError("the server does not listen")
