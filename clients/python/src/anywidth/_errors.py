"""Errors by meaning. Each has the server's code, which is stable; docs/api.md lists all codes."""

from __future__ import annotations

import httpx

from ._decode import decode
from ._models import ErrorFile

# Characters in a message from an answer that is not the server's, such as a proxy's page.
_MAX_TEXT = 200


class AnywidthError(Exception):
    """The base of all errors of a call.

    Attributes:
        status: the HTTP status; None if there was no answer.
        code: the server's code, as `bad_value`; None if the answer was not the server's.
        message: what is wrong, where, and what is allowed.
        file: the file of a batch that caused the error; None if none did.
        retry_after: seconds after which the same call may succeed; None if the server did not say.
        request_id: the request's ID in the server's log; None if there was no answer.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        file: ErrorFile | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        head = " ".join(str(part) for part in (status, code) if part is not None)
        super().__init__(f"{head}: {message}" if head else message)
        self.message = message
        self.status = status
        self.code = code
        self.file = file
        self.retry_after = retry_after
        self.request_id = request_id


class BadRequest(AnywidthError):
    """A parameter, header or form is wrong, or the body arrived too slowly or not whole (400, 405, 408, 414, 431)."""


class Forbidden(AnywidthError):
    """The server, or a proxy before it, does not allow this (403)."""


class NotFound(AnywidthError):
    """No model of this name or version, or no such path (404)."""


class TooLarge(AnywidthError):
    """The body, an image or the number of files exceeds a limit of the server (413)."""


class UnsupportedImage(AnywidthError):
    """Not a JPEG, PNG or WebP, or one with a feature that the server does not read (415)."""


class BrokenImage(AnywidthError):
    """An image is damaged (422)."""


class CannotBeMet(AnywidthError):
    """No load allows this `min_accuracy` or `budget_ms` on this server (422)."""


class Overloaded(AnywidthError):
    """Refused because of load, or because the server is stopping (503); `retry_after` says when to come back."""


class NotReady(AnywidthError):
    """The server is warming up or stopping (503 of `/readyz`)."""


class DeadlineMissed(AnywidthError):
    """`budget_ms` passed before the image's turn (504); retry with a longer budget."""


class ServerError(AnywidthError):
    """A fault of the server or of a proxy (another 5xx, or an answer that cannot be read)."""


class ConnectionFailed(AnywidthError):
    """No answer: the server was not reached, closed the connection, or took longer than the timeout."""


_BY_CODE = {
    "broken_image": BrokenImage,
    "cannot_be_met": CannotBeMet,
    "deadline": DeadlineMissed,
    "not_ready": NotReady,
}
_BY_STATUS = {
    400: BadRequest,
    403: Forbidden,
    404: NotFound,
    405: BadRequest,
    408: BadRequest,
    413: TooLarge,
    414: BadRequest,
    415: UnsupportedImage,
    422: CannotBeMet,
    431: BadRequest,
    503: Overloaded,
}


def error_of(response: httpx.Response) -> AnywidthError:
    """The error that a response other than 2xx stands for."""
    body = _body(response)
    code = _text(body.get("code"))
    kind = _BY_CODE.get(code or "") or _BY_STATUS.get(response.status_code)
    if kind is None:
        kind = ServerError if response.status_code >= 500 else AnywidthError
    return kind(
        _text(body.get("error")) or response.text.strip()[:_MAX_TEXT] or response.reason_phrase,
        status=response.status_code,
        code=code,
        file=_file(body.get("file")),
        retry_after=_retry_after(body, response),
        request_id=response.headers.get("X-Request-Id"),
    )


def _body(response: httpx.Response) -> dict[str, object]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _file(value: object) -> ErrorFile | None:
    try:
        return decode(ErrorFile, value)
    except ValueError:
        return None


def _retry_after(body: dict[str, object], response: httpx.Response) -> float | None:
    """Seconds: exact in the body, whole in the header, whose other form, a date, is ignored."""
    exact = body.get("retry_after_ms")
    if isinstance(exact, (int, float)) and exact >= 0:
        return exact / 1000
    header = response.headers.get("Retry-After", "")
    return float(header) if header.isdecimal() else None
