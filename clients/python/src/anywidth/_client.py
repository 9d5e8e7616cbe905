"""The client that blocks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Callable, Literal

import httpx

from ._calls import Calls, run
from ._images import Image, ImageFile, load
from ._models import Answer, Models, Profile
from ._parameters import Parameters, Priority
from ._retry import RetryPolicy


class Client:
    """Calls a server, and blocks until it answers. Threads may share a client; it keeps connections open until `close`.

    Every method raises `AnywidthError`, in the subclass for its cause.

    Args:
        base_url: where the server listens.
        timeout: seconds for a call with all its retries; no attempt begins later. In an attempt, connecting, sending
            and waiting for the answer may each take what is left, with `budget_ms` at most until one second after it.
        max_retries: how often a call is repeated after 503, at the time that the server names, if that is within
            `budget_ms` and `timeout`.
        headers: sent with every request.
        transport: httpx's transport, for tests and other ways to the server.
        clock: seconds on a clock that never goes back.
        sleep: waits for seconds.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8080",
        *,
        timeout: float = 10.0,
        max_retries: int = 3,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = httpx.Client(base_url=base_url, headers=headers, transport=transport)
        self._calls = Calls(_BlockingIo(self._http, clock, sleep), RetryPolicy(max_retries, timeout))

    def classify(
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
        """Classifies one image.

        Args:
            image: the bytes of a JPEG, PNG or WebP file, a path to one, a binary file object, a Pillow image, or a
                uint8 array [H, W] or [H, W, 3].
            width: exactly this width, above 0 and up to 1; `auto`, the default, leaves it to the server.
            budget_ms: milliseconds until the answer; what cannot be answered in time is refused. A retry sends what is
                left of it.
            min_accuracy: excludes widths whose accuracy in `models()` is lower, from 0 to 1.
            confidence: starts narrow and stops at the first width at which the most likely class has this probability,
                above 0 and up to 1; excludes `width` and `all_widths`.
            priority: who is refused first under load: low, then normal (default), then high.
            top_k: how many classes are returned; default 5.
            model: another model than the default.
            version: another version than the latest.
            all_widths: also returns the predictions at every step of the model's widths, from one pass.

        Raises:
            AnywidthError: the server refused, or did not answer.
            OSError: a file cannot be read.
            TypeError: this is no image of a known kind.
            ValueError: an array has another shape or type.
            ImportError: an array needs Pillow, which is not installed.
        """
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
        return run(self._calls.classify(image, parameters))

    def classify_batch(
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
        """Classifies several images in one request, and returns an answer for each, in order.

        All are answered or none: an error has the `file`. The server limits their number (`models().limits.max_files`).
        Arguments and errors are those of `classify`.
        """
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
        return run(self._calls.classify_batch(images, parameters))

    def models(self) -> Models:
        """The served models, their accuracies by width, and the limits of a request."""
        return run(self._calls.models())

    def profile(self) -> Profile:
        """The latency of every width on the server's machine, in microseconds."""
        return run(self._calls.profile())

    def is_ready(self) -> bool:
        """Whether the server answers and has warmed up."""
        return run(self._calls.is_ready())

    def wait_until_ready(self, timeout: float = 30.0) -> None:
        """Returns when the server is ready; raises its last error if that takes longer than `timeout` seconds."""
        run(self._calls.wait_until_ready(timeout))

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _BlockingIo:
    def __init__(self, http: httpx.Client, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._http = http
        self._sleep = sleep
        self.now = clock

    async def sleep(self, seconds: float) -> None:
        self._sleep(seconds)

    async def load(self, images: Sequence[Image]) -> list[ImageFile]:
        return [load(image) for image in images]

    async def send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return self._http.request(method, path, **arguments)
