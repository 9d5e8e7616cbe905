"""When a call is repeated: after 503, when the server said when, and only while the caller still waits."""

from __future__ import annotations

from dataclasses import dataclass

from ._errors import AnywidthError

# Seconds after the budget: the server answers or refuses within it, and the rest is for the response's way back.
_GRACE = 1.0
# Seconds to connect.
MAX_CONNECT = 2.0


@dataclass(frozen=True)
class RetryPolicy:
    """How often a call is repeated, and how many seconds it may take with all repetitions."""

    max_retries: int
    timeout: float

    def attempt_timeout(self, elapsed: float, budget: float) -> float:
        """Seconds that an attempt may take which starts `elapsed` seconds into a call with this budget in seconds."""
        return min(self.timeout, budget + _GRACE) - elapsed

    def has_time(self, elapsed: float, budget: float) -> bool:
        """Whether an answer would still be of use `elapsed` seconds into the call."""
        return elapsed < min(self.timeout, budget)

    def wait(self, error: AnywidthError, retries: int, elapsed: float, budget: float) -> float | None:
        """Seconds until the next attempt; None if there is none.

        Args:
            error: how the last attempt ended.
            retries: repetitions so far.
            elapsed: seconds since the call began.
            budget: seconds from its beginning until the answer; infinite without one.
        """
        if error.status != 503 or error.retry_after is None or retries >= self.max_retries:
            return None
        return error.retry_after if self.has_time(elapsed + error.retry_after, budget) else None
