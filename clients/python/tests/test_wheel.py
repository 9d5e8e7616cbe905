"""The wheel, installed into an environment of its own, has the server and the client."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from served import ROOT, serve

# Elsewhere than in the repository, and without its sources on the path.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the binary that other tests have built already."""
    folder = tmp_path_factory.mktemp("wheel")
    profile = os.environ.get("PROFILE", "dev")
    run("env", f"PROFILE={profile}", ROOT / "clients/python/wheel.sh", "--out", folder, cwd=folder)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def commands(wheel: Path) -> Path:
    """The commands of an environment in which the wheel is installed."""
    folder = wheel.parent
    run(sys.executable, "-m", "venv", "venv", cwd=folder)
    run(folder / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=folder)
    return folder / "venv/bin"


def test_the_wheel_has_types_a_licence_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "anywidth/py.typed" in names
    assert [name for name in names if name.endswith("/LICENSE")]
    assert not [name for name in names if "test" in name or name.endswith((".pyc", ".ipynb"))]


def test_the_command_has_the_version_of_the_package(commands: Path) -> None:
    version = run(
        commands / "python", "-c", "from importlib.metadata import version as v; print(v('anywidth'))", cwd=commands
    )
    assert run(commands / "anywidth", "--version", cwd=commands) == f"anywidth {version}"


def test_the_client_calls_the_server_that_came_with_it(commands: Path) -> None:
    program = (
        "import sys; from anywidth import Client; client = Client(sys.argv[1], timeout=600); "
        "print(client.classify(sys.argv[2]).top.label)"
    )
    with serve(binary=commands / "anywidth") as url:
        assert run(commands / "python", "-c", program, url, ROOT / "samples/ship.png", cwd=commands) == "ship"
