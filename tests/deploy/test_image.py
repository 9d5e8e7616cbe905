"""The Dockerfile's image, run by a real engine, with the binaries built by tests/deploy/test.sh."""

import contextlib
import http.client
import json
import re
import shutil
import subprocess
import threading

import pytest

from support import NEEDS_DOCKER, ROOT, SHIP, docker, free_ports, get, inspect, wait_for

pytestmark = NEEDS_DOCKER

CONFINED = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "1g", "--pids-limit", "256"]


class Container:
    """A server in a read-only container, with its port published on loopback."""

    def __init__(self, tag, *options):
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        published = f"127.0.0.1:{self.port}:8080"
        ran = docker("run", "--detach", "--publish", published, *CONFINED, *options, f"anywidth:{tag}")
        self.id = ran.stdout.strip()

    def await_healthy(self):
        healthy = lambda: inspect(self.id, "{{.State.Health.Status}}") == "healthy"
        wait_for("the container is healthy", healthy, seconds=60)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        docker("rm", "--force", self.id)


@pytest.fixture
def container(tag):
    with Container(tag) as container:
        yield container.await_healthy()


def classify(url):
    """Returns the status and body of a classification."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", "/classify?budget_ms=10000", SHIP)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_the_image_is_one_binary_that_runs_as_nobody(tag):
    container = docker("create", f"anywidth:{tag}").stdout.strip()
    try:
        listing = subprocess.run(f"docker export {container} | tar -t", shell=True, text=True, capture_output=True).stdout
    finally:
        docker("rm", container)
    # Files that the engine adds to every container.
    of_engine = re.compile(r"^(\.dockerenv|dev/.*|etc/.*|proc/|sys/)$")
    assert [name for name in listing.split() if not of_engine.match(name)] == ["anywidth"]
    config = json.loads(docker("image", "inspect", f"anywidth:{tag}").stdout)[0]["Config"]
    assert config["User"] == "65532:65532"
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    assert config["Labels"]["org.opencontainers.image.version"] == version
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_it_classifies_without_a_file_that_it_could_write(container):
    status, body = classify(container.url)
    assert status == 200
    assert json.loads(body)["predictions"][0]["label"] == "ship"


def test_a_stop_under_load_loses_no_request(container):
    answers, stopping = [], threading.Event()

    def ask():
        # As a balancer does, until the server reports that it is draining.
        while not stopping.is_set():
            try:
                answers.append(classify(container.url)[0])
            except (OSError, http.client.HTTPException) as error:
                answers.append(error)

    callers = [threading.Thread(target=ask) for _ in range(4)]
    for caller in callers:
        caller.start()
    wait_for("requests are answered", lambda: len(answers) > 20)
    stop = threading.Thread(target=lambda: docker("stop", container.id))
    stop.start()
    wait_for("it says that it goes", lambda: get(f"{container.url}/readyz")[0] == 503, seconds=10)
    since = len(answers)
    wait_for("it serves on", lambda: len(answers) > since + 8, seconds=10)
    stopping.set()
    for thread in [*callers, stop]:
        thread.join()
    assert answers == [200] * len(answers)
    assert inspect(container.id, "{{.State.ExitCode}}") == "0"


def test_models_can_be_mounted_over_those_inside(tag, tmp_path):
    shutil.copytree(ROOT / "models/mnist/1", tmp_path / "digits/7")
    (tmp_path).chmod(0o755)
    options = ["--volume", f"{tmp_path}:/models:ro", "--env", "ANYWIDTH_MODELS=/models"]
    with Container(tag, *options) as container:
        container.await_healthy()
        listed = json.loads(get(f"{container.url}/models")[1])
        assert [(model["name"], model["versions"]) for model in listed["models"]] == [("digits", ["7"])]


@pytest.fixture
def unreadable(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir(mode=0o700)
    return folder


WRONG = {
    "a model that is not there": (["--env", "ANYWIDTH_MODEL=/nowhere.onnx"], "/nowhere.onnx"),
    "a folder that is not there": (["--env", "ANYWIDTH_MODELS=/nowhere"], "/nowhere"),
    "a port that is none": (["--env", "ANYWIDTH_PORT=99999"], "99999"),
    "a port that is a word": (["--env", "ANYWIDTH_PORT=tcp://10.0.0.1:8080"], "tcp://10.0.0.1:8080"),
    "an address that is not its own": (["--env", "ANYWIDTH_HOST=192.0.2.1"], "192.0.2.1:8080"),
}


def assert_says_why(ran, says):
    assert ran.returncode in (1, 2), ran.stderr
    first, *rest = [line for line in ran.stderr.splitlines() if line.strip()]
    assert first.startswith("error: ") and says in first, ran.stderr
    # At most a hint to the help.
    assert all(line.startswith("For more information") for line in rest), ran.stderr


@pytest.mark.parametrize(("options", "says"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said_in_one_line(tag, options, says):
    assert_says_why(docker("run", "--rm", *CONFINED, *options, f"anywidth:{tag}", check=False), says)


def test_a_folder_that_may_not_be_read_is_named(tag, unreadable):
    options = ["--volume", f"{unreadable}:/models:ro", "--env", "ANYWIDTH_MODELS=/models"]
    assert_says_why(docker("run", "--rm", *CONFINED, *options, f"anywidth:{tag}", check=False), "/models")


def test_a_port_that_is_taken_is_named(tag, container):
    network = f"container:{container.id}"
    ran = docker("run", "--rm", *CONFINED, "--network", network, f"anywidth:{tag}", check=False)
    assert_says_why(ran, "0.0.0.0:8080")


def test_a_report_that_may_not_be_written_is_named_before_load_is_sent(tag, container):
    command = ["run", "http://127.0.0.1:8080", "--json", "/report.json"]
    network = f"container:{container.id}"
    ran = docker("run", "--rm", *CONFINED, "--network", network, f"anywidth-load:{tag}", *command, check=False)
    assert_says_why(ran, "/report.json")


def copied(stage):
    """Returns the files that a stage of the Dockerfile and its base stages copy from the repository to the same path."""
    text = (ROOT / "Dockerfile").read_text()
    base, body = re.search(rf"^FROM (?:--platform=\S+ )?(\S+) AS {stage}$(.*?)(?=^FROM|\Z)", text, re.MULTILINE | re.DOTALL).groups()
    lines = [line.split()[1:] for line in body.splitlines() if line.startswith("COPY")]
    here = {source for *sources, into in lines for source in sources if into == source or into == "./"}
    return here | (copied(base) if f"AS {base}\n" in text else set())


@pytest.mark.parametrize(("program", "stage"), [("anywidth", "built-server"), ("anywidth-load", "built-load")])
def test_the_stages_that_build_have_all_that_a_build_reads(program, stage):
    # Cargo's dependency file of the binary built by tests/deploy/test.sh.
    read = (ROOT / f"target/debug/{program}.d").read_text().split(": ", 1)[1].split()
    read = {path.removeprefix(f"{ROOT}/") for path in read if not path.startswith(f"{ROOT}/target/")}
    assert f"{'loadgen/' if program == 'anywidth-load' else ''}src/main.rs" in read
    there = copied(stage)
    assert [path for path in read if not any(path == each or path.startswith(f"{each}/") for each in there)] == []
