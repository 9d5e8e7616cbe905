"""Three replicas behind the load balancers of deploy/: one drains, dies or hangs, and no request fails."""

import contextlib
import csv
import io
import re
import signal
import socket

import pytest

from support import DEPLOY, Load, Program, Server, free_ports, get, wait_for

# Two checks of 200 ms notice that a replica is not ready; it serves for this long.
DRAIN = {"ANYWIDTH_DRAIN_WAIT_MS": "1500"}
# Light load with large budgets: the test counts lost requests, not what a busy machine answers within the usual budget.
PLAN = ["--rate", "60", "--duration", "90s", "--timeout-ms", "20000", "--budget-ms", "15000"]


class Replicas:
    """Three servers behind a balancer, under load."""

    def __init__(self, folder, url, servers, stack):
        self.folder, self.url, self.servers, self.stack = folder, url, servers, stack

    def load(self):
        """Returns the number of requests in flight."""
        load = self.stack.enter_context(Load(self.url, self.folder, *PLAN))
        self.await_answers(50)
        return load

    def answered(self):
        """Returns the answers of each current server; 0 if it does not respond."""
        counts = []
        for server in self.servers:
            _, text = get(f"{server.url}/metrics")
            lines = re.findall(r'^anywidth_requests_total\{code="200".* (\d+)$', text, re.M)
            counts.append(sum(map(int, lines)))
        return counts

    def await_answers(self, count):
        before = sum(self.answered())
        wait_for(f"{count} more answers", lambda: sum(self.answered()) >= before + count)

    def restart(self, index):
        old = self.servers[index]
        old.send(signal.SIGTERM)
        assert old.wait() == 0
        return self.replace(index)

    def replace(self, index):
        new = Server(self.folder, port=self.servers[index].port, **DRAIN)
        self.servers[index] = self.stack.enter_context(new).await_ready()
        return self.servers[index]


class HaProxy(Replicas):
    """Behind HAProxy, which reports the states of its servers."""

    def states(self):
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect(str(self.folder / "haproxy.sock"))
            asked.sendall(b"show stat\n")
            table = b"".join(iter(lambda: asked.recv(1 << 16), b"")).decode()
        rows = csv.DictReader(io.StringIO(table.removeprefix("# ")))
        names = ("one", "two", "three")
        servers = {row["svname"]: row for row in rows if row["pxname"] == "anywidth"}
        return [servers[name]["status"] for name in names]

    def await_state(self, index, state):
        wait_for(f"server {index} is {state}", lambda: self.states()[index].startswith(state))

    def await_all(self):
        wait_for("all are up", lambda: self.states() == ["UP"] * 3)


def with_ports(text, ports):
    """Returns a configuration with this test's ports."""
    for own, port in zip((8000, 8001, 8002, 8003), ports, strict=True):
        text = text.replace(f"127.0.0.1:{own}", f"127.0.0.1:{port}")
    return text


@contextlib.contextmanager
def replicas(folder, kind, configure):
    ports = free_ports(4)
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Server(folder, port=port, **DRAIN)) for port in ports[1:]]
        for server in servers:
            server.await_ready()
        stack.enter_context(configure(folder, ports))
        url = f"http://127.0.0.1:{ports[0]}"
        wait_for("the balancer answers", lambda: get(f"{url}/readyz")[0] == 200)
        yield kind(folder, url, servers, stack)


def haproxy(folder, ports):
    text = with_ports((DEPLOY / "haproxy/haproxy.cfg").read_text(), ports)
    text = text.replace("global\n", f"global\n    stats socket {folder}/haproxy.sock mode 600 level admin\n")
    config = folder / "haproxy.cfg"
    config.write_text(text)
    return Program(["haproxy", "-f", config], folder, "haproxy")


def nginx(folder, ports):
    text = with_ports((DEPLOY / "nginx/nginx.conf").read_text(), ports)
    paths = " ".join(f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log stderr; worker_processes 1; events {{}}\n"
        f"http {{ access_log off; {paths}\n{text}\n}}"
    )
    return Program(["nginx", "-c", config, "-e", "stderr"], folder, "nginx")


def assert_all_answered(results):
    counts = results["totals"]
    assert counts["offered"] > 100, counts
    assert counts["on_time"] + counts["late"] == counts["offered"], (counts, results["refusals"], results["failures"])


@pytest.fixture
def balanced(tmp_path):
    with replicas(tmp_path, HaProxy, haproxy) as three:
        three.await_all()
        yield three


def test_each_replica_restarts_under_load_and_no_request_fails(balanced):
    load = balanced.load()
    for index in range(3):
        balanced.restart(index)
        balanced.await_state(index, "UP")
        balanced.await_answers(30)
    assert_all_answered(load.finish())


def test_a_replica_that_dies_loses_at_most_what_it_had_in_hand(balanced):
    load = balanced.load()
    _, metrics = get(f"{balanced.servers[0].url}/metrics")
    balanced.servers[0].send(signal.SIGKILL)
    balanced.servers[0].wait()
    balanced.await_state(0, "DOWN")
    balanced.await_answers(100)
    balanced.replace(0)
    balanced.await_state(0, "UP")
    balanced.await_answers(50)
    counts = load.finish()["totals"]
    # A request that fits into HAProxy's buffer is retried; the replica held at most those that arrived between two
    # samples.
    in_hand = 1 + int(re.search(r"^anywidth_requests_in_flight (\d+)", metrics, re.M)[1])
    assert counts["failed"] <= in_hand, counts
    assert counts["on_time"] + counts["late"] + counts["failed"] == counts["offered"] > 150, counts


def test_a_replica_that_hangs_is_left_until_it_is_ready_again(balanced):
    hanging = balanced.servers[2]
    hanging.send(signal.SIGSTOP)
    balanced.await_state(2, "DOWN")
    # The two others.
    balanced.servers = balanced.servers[:2]
    load = balanced.load()
    balanced.await_answers(60)
    hanging.send(signal.SIGCONT)
    balanced.servers.append(hanging)
    balanced.await_state(2, "UP")
    before = balanced.answered()[2]
    wait_for("it answers again", lambda: balanced.answered()[2] > before)
    assert_all_answered(load.finish())


def test_behind_nginx_a_replica_may_die_and_no_request_fails(tmp_path):
    with replicas(tmp_path, Replicas, nginx) as three:
        load = three.load()
        three.servers[1].send(signal.SIGKILL)
        three.servers[1].wait()
        three.await_answers(100)
        three.replace(1)
        three.await_answers(50)
        assert_all_answered(load.finish())
