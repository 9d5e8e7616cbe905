"""Both clients behind one blocking interface, so that each test covers both; a server for the duration of the tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Callable

import httpx
import pytest
from served import serve

from anywidth import AsyncClient, Client

Connect = Callable[..., Any]


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    with serve() as url:
        yield url


class Blocking:
    """The methods of an `AsyncClient`, which block."""

    def __init__(self, client: AsyncClient, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, "aclose" if name == "close" else name)
        return lambda *arguments, **options: self._loop.run_until_complete(method(*arguments, **options))


@pytest.fixture(params=["Client", "AsyncClient"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Makes clients of one kind, and closes them."""
    loop = asyncio.new_event_loop()
    clients: list[Any] = []

    def make(base_url: str = "http://server", **options: Any) -> Any:
        if request.param == "Client":
            clients.append(Client(base_url, **options))
        else:
            if sleep := options.pop("sleep", None):
                options["sleep"] = lambda seconds: asyncio.sleep(0, sleep(seconds))
            clients.append(Blocking(AsyncClient(base_url, **options), loop))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
    loop.close()


@pytest.fixture
def client(connect: Connect, url: str) -> Any:
    """A client of the running server, whose unoptimised build may be slow on a busy machine."""
    return connect(url, timeout=600.0)


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


class Script:
    """A server that gives these answers in turn, and the last of them for ever. An exception is raised instead."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        # Each answer is read by its own client.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def queries(self) -> list[dict[str, str]]:
        return [dict(request.url.params) for request in self.requests]


@pytest.fixture
def script(connect: Connect, time: FakeTime) -> Callable[..., tuple[Any, Script]]:
    """A client of a `Script` with the fake time."""

    def make(*answers: httpx.Response | Exception, **options: Any) -> tuple[Any, Script]:
        server = Script(*answers)
        transport = httpx.MockTransport(server)
        return connect(transport=transport, clock=time.clock, sleep=time.sleep, **options), server

    return make
