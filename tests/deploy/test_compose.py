"""The services of `docker compose up`, except Grafana, which needs a registry."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import uuid

import pytest
import yaml

from support import DEPLOY, NEEDS_DOCKER, docker, free_ports, get, inspect, wait_for

COMPOSE = DEPLOY / "compose/compose.yaml"

pytestmark = NEEDS_DOCKER


class Project:
    """The services of the Compose file under unique names and ports, removed at the end."""

    def __init__(self, tag, prometheus):
        self.name = f"anywidth-test-{uuid.uuid4().hex[:8]}"
        self.ports = dict(zip(("ANYWIDTH_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT"), map(str, free_ports(3)), strict=True))
        images = {"ANYWIDTH_IMAGE": f"anywidth:{tag}", "ANYWIDTH_LOAD_IMAGE": f"anywidth-load:{tag}", "PROMETHEUS_IMAGE": prometheus}
        self.environment = {**os.environ, **images, **self.ports, "BURST": "0.3:3s,3:3s,0.3:3s"}
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
        self.command = ["docker", "compose"] if plugin else ["docker-compose"]

    def run(self, *arguments):
        command = [*self.command, "--file", COMPOSE, "--project-name", self.name, *arguments]
        ran = subprocess.run(command, text=True, capture_output=True, env=self.environment)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def await_healthy(self, service):
        container = self.run("ps", "--quiet", service).strip()
        healthy = lambda: inspect(container, "{{.State.Health.Status}}") == "healthy"
        wait_for(f"{service} is healthy", healthy, seconds=60)
        return container

    def query(self, expression):
        url = f"http://127.0.0.1:{self.ports['PROMETHEUS_PORT']}/api/v1/query?query={expression}"
        return json.loads(get(url)[1])["data"]["result"]


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory):
    """An image with Debian's Prometheus at the official image's paths, for machines without a registry."""
    name = f"prometheus-test:{uuid.uuid4().hex[:8]}"
    root = tmp_path_factory.mktemp("prometheus")
    files = [shutil.which("prometheus"), shutil.which("promtool")]
    for program in files:
        (root / "bin").mkdir(exist_ok=True)
        shutil.copy(program, root / "bin")
    linked = subprocess.run(["ldd", *files], text=True, capture_output=True).stdout
    for library in set(re.findall(r"(/\S+) \(0x", linked)):
        (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, root / library[1:])
    # The volume takes its owner from this directory.
    (root / "prometheus").mkdir()
    os.chown(root / "prometheus", 65534, 65534)
    changes = ['ENTRYPOINT ["/bin/prometheus"]', "USER 65534", "ENV PATH=/bin"]
    changes = " ".join(f"--change '{change}'" for change in changes)
    subprocess.run(f"tar -C {root} -c . | docker import {changes} - {name}", shell=True, check=True, capture_output=True)
    yield name
    docker("rmi", "--force", name, check=False)


@pytest.fixture
def project(tag, prometheus):
    project = Project(tag, prometheus)
    with contextlib.ExitStack() as stack:
        stack.callback(project.run, "--profile", "burst", "down", "--volumes", "--timeout", "15")
        yield project


def test_one_command_shows_a_server_that_lives(project):
    project.run("up", "--detach", "anywidth", "prometheus")
    server = project.await_healthy("anywidth")
    project.await_healthy("prometheus")
    # A short burst could end before the server's first scrape.
    wait_for("the server is watched", lambda: project.query("anywidth_images_total"))
    project.run("--profile", "burst", "up", "--detach", "burst")
    burst = project.run("ps", "--quiet", "--all", "burst").strip()
    assert docker("wait", burst).stdout.strip() == "0", docker("logs", burst).stderr
    # Over a minute, three seconds at 3 times the capacity and six at 0.3 average 0.18; light load alone would average
    # 0.05.
    wait_for("the burst was seen", lambda: project.query("max_over_time(job:anywidth_demand:ratio_rate1m[5m])>0.1"))
    wait_for("its answers were counted", lambda: project.query("job:anywidth_attainment:ratio_rate5m"))
    docker("stop", server)
    assert inspect(server, "{{.State.ExitCode}}") == "0"


def test_every_service_is_confined_and_bounded(project):
    services = yaml.safe_load(project.run("--profile", "burst", "config"))["services"]
    assert services.keys() == {"anywidth", "prometheus", "grafana", "burst"}
    for name, service in services.items():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"] and service["cpus"] and service["pids_limit"], name
        for port in service.get("ports", []):
            host = port["host_ip"] if isinstance(port, dict) else port.split(":")[0]
            assert host == "127.0.0.1", name
        # The server's health check is in its image.
        assert name in ("anywidth", "burst") or service["healthcheck"]["test"], name
