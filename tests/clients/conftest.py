"""A server on a port of its own, as long as the tests run."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def start(*arguments):
    """A running server, and where it listens."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANYWIDTH_")}
    server = subprocess.Popen(
        # A target that is never missed: nothing here is about time.
        [ROOT / "target/debug/anywidth", "serve", "--port", "0", "--default-budget-ms", "60000", "--log", "warn", *arguments],
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
