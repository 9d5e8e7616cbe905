"""A server on a free port for the duration of the tests."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


# A small network, and a target that is never missed: these tests do not measure time.
SETTINGS = ["--port=0", "--default-model=cifar10-lenet", "--default-budget-ms=3600000", "--log=warn"]


def start():
    """A running server and its URL."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANYWIDTH_")}
    server = subprocess.Popen(
        [ROOT / "target/debug/anywidth", "serve", *SETTINGS],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    for line in server.stdout:
        if "listens on " in line:
            return server, line.split("listens on ")[1].strip()
    raise AssertionError("the server does not listen")


@pytest.fixture(scope="session")
def url():
    server, url = start()
    yield url
    server.terminate()
    assert server.wait(timeout=30) == 0
