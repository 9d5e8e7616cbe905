"""Every call, once for both clients: what is sent, when it is repeated, what the answer means.

The coroutines of `Calls` wait only in the methods of an `Io`. The asynchronous client awaits them. The synchronous
client's `Io` blocks instead, so its coroutines never suspend, and `run` gets their results without an event loop.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, TypeVar

import httpx

from ._decode import decode
from ._errors import AnywidthError, ConnectionFailed, ServerError, error_of
from ._images import Image, ImageFile
from ._models import Answer, Models, Profile
from ._parameters import Parameters
from ._retry import MAX_CONNECT, RetryPolicy

T = TypeVar("T")

# Seconds between two requests of `/readyz`.
_READY_INTERVAL = 0.1


class Io(Protocol):
    """All that touches the world."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Waits."""

    async def load(self, images: Sequence[Image]) -> list[ImageFile]:
        """Reads or encodes images, in order."""

    async def send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Sends one request, with the arguments of httpx."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("a blocking Io suspended")


class Calls:
    """The calls of a client."""

    def __init__(self, io: Io, policy: RetryPolicy) -> None:
        self._io = io
        self._policy = policy

    async def classify(self, image: Image, parameters: Parameters) -> Answer:
        """One image as the body."""
        [file] = await self._io.load([image])
        headers = {"Content-Type": "application/octet-stream"}
        return decode_answer(Answer, await self._classify(parameters, content=file.content, headers=headers))

    async def classify_batch(self, images: Sequence[Image], parameters: Parameters) -> list[Answer]:
        """Several images as one form; what the answers share is put into each."""
        if not images:
            return []
        files = await self._io.load(images)
        form = [("image", (file.name or f"image-{index}", file.content)) for index, file in enumerate(files)]
        body = await self._classify(parameters, files=form)
        results = body.pop("results", None)
        if not isinstance(results, list) or [type(result) for result in results] != [dict] * len(images):
            raise ServerError(f"the answer has not {len(images)} results")
        return [decode_answer(Answer, {**body, **result}) for result in results]

    async def models(self) -> Models:
        """`GET /models`."""
        return decode_answer(Models, await self._call("GET", "/models", Parameters()))

    async def profile(self) -> Profile:
        """`GET /profile`."""
        return decode_answer(Profile, await self._call("GET", "/profile", Parameters()))

    async def is_ready(self) -> bool:
        """Asks `/readyz` once."""
        return await self._not_ready(self._policy.timeout) is None

    async def wait_until_ready(self, timeout: float) -> None:
        """Polls `/readyz` until the server is ready; raises the last error after `timeout` seconds."""
        started = self._io.now()
        while True:
            left = timeout - (self._io.now() - started)
            error = await self._not_ready(min(self._policy.timeout, max(left, _READY_INTERVAL)))
            if error is None:
                return
            if self._io.now() - started + _READY_INTERVAL >= timeout:
                raise error
            await self._io.sleep(_READY_INTERVAL)

    async def _not_ready(self, timeout: float) -> AnywidthError | None:
        try:
            await self._attempt("GET", "/readyz", timeout)
        except AnywidthError as error:
            if error.status is None or error.status >= 500:
                return error
            raise
        return None

    async def _classify(self, parameters: Parameters, **body: Any) -> dict[str, Any]:
        return await self._call("POST", "/classify", parameters, **body)

    async def _call(self, method: str, path: str, parameters: Parameters, **body: Any) -> dict[str, Any]:
        """The answer's JSON, after as many attempts as the policy allows."""
        started, elapsed, retries = self._io.now(), 0.0, 0
        while True:
            timeout = self._policy.attempt_timeout(elapsed, parameters.budget)
            try:
                return await self._attempt(method, path, timeout, params=parameters.query(elapsed), **body)
            except AnywidthError as error:
                wait = self._policy.wait(error, retries, self._io.now() - started, parameters.budget)
                if wait is None:
                    raise
                await self._io.sleep(wait)
                elapsed = self._io.now() - started
                if not self._policy.has_time(elapsed, parameters.budget):
                    raise
                retries += 1

    async def _attempt(self, method: str, path: str, timeout: float, **arguments: Any) -> dict[str, Any]:
        limits = httpx.Timeout(timeout, connect=min(timeout, MAX_CONNECT))
        try:
            response = await self._io.send(method, path, timeout=limits, **arguments)
        except httpx.RequestError as error:
            text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise ConnectionFailed(f"{method} {error.request.url}: {text}") from error
        if not response.is_success:
            raise error_of(response)
        try:
            body = response.json()
        except ValueError as error:
            raise ServerError("the answer is not JSON", status=response.status_code) from error
        if not isinstance(body, dict):
            raise ServerError("the answer is not a JSON object", status=response.status_code)
        return body


def decode_answer(kind: type[T], body: dict[str, Any]) -> T:
    """The body of a successful answer; raises ServerError if it is not what the server documents."""
    try:
        return decode(kind, body)
    except ValueError as error:
        raise ServerError(f"the answer is not as documented: {error}") from error
