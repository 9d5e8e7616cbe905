"""Shared fixtures: a server under load with a Prometheus that has the deployed rules, and the Docker images."""

import os
import subprocess
import uuid

import pytest

from support import ROOT, Load, Prometheus, Server, docker, get

# Light load, three times what full width can answer, light load again.
BURST = ["--of-capacity", "--steps", "0.3:4s,3:4s,0.3:4s", "--arrivals", "gamma", "--cv2", "4", "--budget-ms", "20x"]
# Three times the capacity at a pinned width: some are refused.
REFUSED = ["--of-capacity", "--rate", "3", "--duration", "3s", "--width", "1", "--budget-ms", "20x"]


class Watched:
    """The Prometheus, the server's metrics, and the end of the load."""

    def __init__(self, prometheus, metrics):
        self.prometheus, self.metrics = prometheus, metrics


@pytest.fixture(scope="session")
def watched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    with Server(folder) as server:
        server.await_ready()
        with Prometheus(folder, [server]) as prometheus:
            prometheus.await_scrapes(1)
            for plan in (BURST, REFUSED):
                with Load(server.url, folder, *plan) as load:
                    load.results()
            yield Watched(prometheus, get(f"{server.url}/metrics")[1])


@pytest.fixture(scope="session")
def tag():
    """Both images, built from the binaries of tests/deploy/test.sh, and removed at the end."""
    tag = f"test-{uuid.uuid4().hex[:8]}"
    environment = {**os.environ, "PREBUILT": "1"}
    ran = subprocess.run([ROOT / "deploy/docker/build.sh", tag], text=True, capture_output=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    yield tag
    docker("rmi", "--force", f"anywidth:{tag}", f"anywidth-load:{tag}", check=False)
