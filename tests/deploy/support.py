"""Child processes of tests: servers, load generators, Prometheus. Each listens on a free loopback port."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "compose/prometheus/rules.yml"
DASHBOARDS = sorted((DEPLOY / "compose/grafana/dashboards").glob("*.json"))
BINARIES = ROOT / "target/static"
SHIP = (ROOT / "samples/ship.png").read_bytes()


# If Docker is installed, its engine must run; otherwise these tests fail.
NEEDS_DOCKER = pytest.mark.skipif(shutil.which("docker") is None, reason="Docker is not installed here")


def wait_for(what, holds, seconds=30):
    """Polls until the result is true, and returns it."""
    end = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.02)
    return value


def free_ports(count):
    """Returns distinct free ports."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def get(url):
    """Returns status and text; the status is None without an answer."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return None, str(error)


def is_ready(url):
    return get(f"{url}/readyz")[0] == 200


def docker(*arguments, check=True):
    ran = subprocess.run(["docker", *arguments], text=True, capture_output=True)
    assert not check or ran.returncode == 0, f"docker {arguments}: {ran.stderr}"
    return ran


def inspect(container, template):
    return docker("inspect", "--format", template, container).stdout.strip()


class Program:
    """A child process with its output in a file; leaving the context terminates it."""

    def __init__(self, command, folder, name, **environment):
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            environment = {**os.environ, **environment}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=ROOT)

    def send(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=60):
        return self.process.wait(seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()


class Server(Program):
    """A ready server with one worker."""

    def __init__(self, folder, port=None, **environment):
        self.port = port or free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        settings = {"ANYWIDTH_PORT": str(self.port), "ANYWIDTH_THREADS": "1", **environment}
        super().__init__([BINARIES / "anywidth", "serve"], folder, f"server-{self.port}", **settings)

    def await_ready(self):
        wait_for(f"{self.url} is ready", lambda: is_ready(self.url))
        return self


class Load(Program):
    """An open-loop load that runs to the end of its plan, or until `results` is called."""

    def __init__(self, url, folder, *plan):
        self.json = folder / f"load-{time.monotonic_ns()}.json"
        command = [BINARIES / "anywidth-load", "run", url, "--json", self.json, *plan]
        super().__init__(command, folder, "load")

    def finish(self):
        """Waits for all answers, and returns the results."""
        if self.process.poll() is None:
            self.send(signal.SIGINT)
        return self.results()

    def results(self):
        assert self.wait(120) == 0, self.log.read_text()
        return json.loads(self.json.read_text())


class Prometheus(Program):
    """A Prometheus with the deployed rules that scrapes servers."""

    def __init__(self, folder, servers):
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        targets = json.dumps([server.url.removeprefix("http://") for server in servers])
        text = (DEPLOY / "compose/prometheus/prometheus.yml").read_text()
        text = text.replace('["anywidth:8080"]', targets).replace("rules.yml", str(RULES))
        text = re.sub(r"(scrape|evaluation)_interval: 5s", r"\1_interval: 1s", text)
        config = folder / "prometheus.yml"
        config.write_text(text)
        flags = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'prometheus'}"]
        super().__init__(
            ["prometheus", *flags, f"--web.listen-address=127.0.0.1:{self.port}"], folder, "prometheus"
        )

    def ask(self, path, **parameters):
        status, text = get(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        assert status == 200, f"{parameters}: {text}"
        return json.loads(text)["data"]

    def query(self, expression, at=None):
        """Returns the samples of an instant vector with their labels, without NaN."""
        parameters = {"query": expression} | ({"time": at} if at else {})
        result = self.ask("query", **parameters)["result"]
        return [sample for sample in result if sample["value"][1] != "NaN"]

    def await_scrapes(self, count):
        answers = lambda: get(f"{self.url}/-/ready")[0] == 200
        wait_for("Prometheus is ready", answers)
        up = lambda: len(self.query("anywidth_ready == 1")) == count
        wait_for("the servers are scraped", up)
        return self
