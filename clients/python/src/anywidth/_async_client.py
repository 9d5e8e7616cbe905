"""The client for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from types import TracebackType
from typing import Any, Callable, Literal

import httpx

from ._calls import Calls
from ._images import Image, ImageFile, load
from ._models import Answer, Models, Profile
from ._parameters import Parameters, Priority
from ._retry import RetryPolicy


class AsyncClient:
    """Calls a server without blocking the event loop; it keeps connections open until `aclose`.

    Files are read and images are encoded in a thread. Arguments and errors are those of `Client`.

    Bound the number of calls under way, as with a semaphore: more of them only lengthen the server's queue, and beyond
    100 they wait for a connection here.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8080",
        *,
        timeout: float = 10.0,
        max_retries: int = 3,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._http = httpx.AsyncClient(base_url=base_url, headers=headers, transport=transport)
        self._calls = Calls(_AsyncIo(self._http, clock, sleep), RetryPolicy(max_retries, timeout))

    async def classify(
        self,
        image: Image,
        *,
        width: float | Literal["auto"] | None = None,
        budget_ms: float | None = None,
        min_accuracy: float | None = None,
        confidence: float | None = None,
        priority: Priority | None = None,
        top_k: int | None = None,
        model: str | None = None,
        version: int | str | None = None,
        all_widths: bool = False,
    ) -> Answer:
        """Classifies one image; arguments and errors are those of `Client.classify`."""
        parameters = Parameters(
            width=width,
            budget_ms=budget_ms,
            min_accuracy=min_accuracy,
            confidence=confidence,
            priority=priority,
            top_k=top_k,
            model=model,
            version=version,
            all_widths=all_widths,
        )
        return await self._calls.classify(image, parameters)

    async def classify_batch(
        self,
        images: Sequence[Image],
        *,
        width: float | Literal["auto"] | None = None,
        budget_ms: float | None = None,
        min_accuracy: float | None = None,
        confidence: float | None = None,
        priority: Priority | None = None,
        top_k: int | None = None,
        model: str | None = None,
        version: int | str | None = None,
        all_widths: bool = False,
    ) -> list[Answer]:
        """Classifies several images in one request; all else is as in `Client.classify_batch`."""
        parameters = Parameters(
            width=width,
            budget_ms=budget_ms,
            min_accuracy=min_accuracy,
            confidence=confidence,
            priority=priority,
            top_k=top_k,
            model=model,
            version=version,
            all_widths=all_widths,
        )
        return await self._calls.classify_batch(images, parameters)

    async def models(self) -> Models:
        """The served models, their accuracies by width, and the limits of a request."""
        return await self._calls.models()

    async def profile(self) -> Profile:
        """The latency of every width on the server's machine, in microseconds."""
        return await self._calls.profile()

    async def is_ready(self) -> bool:
        """Whether the server answers and has warmed up."""
        return await self._calls.is_ready()

    async def wait_until_ready(self, timeout: float = 30.0) -> None:
        """Returns when the server is ready; raises its last error if that takes longer than `timeout` seconds."""
        await self._calls.wait_until_ready(timeout)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class _AsyncIo:
    def __init__(
        self, http: httpx.AsyncClient, clock: Callable[[], float], sleep: Callable[[float], Awaitable[object]]
    ) -> None:
        self._http = http
        self._sleep = sleep
        self.now = clock

    async def sleep(self, seconds: float) -> None:
        await self._sleep(seconds)

    async def load(self, images: Sequence[Image]) -> list[ImageFile]:
        if all(isinstance(image, bytes) for image in images):
            return [load(image) for image in images]
        return await asyncio.to_thread(lambda: [load(image) for image in images])

    async def send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return await self._http.request(method, path, **arguments)
