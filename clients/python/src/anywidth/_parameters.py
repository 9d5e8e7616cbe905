"""The parameters of a classification, and how they are written in a query."""

from __future__ import annotations

import dataclasses
import math
from decimal import Decimal
from typing import Literal

Priority = Literal["low", "normal", "high"]
"""Who is refused first under load: low, then normal, then high."""


@dataclasses.dataclass(frozen=True)
class Parameters:
    """The parameters of `/classify`, under its names; None and False leave the server's default."""

    width: float | Literal["auto"] | None = None
    budget_ms: float | None = None
    min_accuracy: float | None = None
    confidence: float | None = None
    priority: Priority | None = None
    top_k: int | None = None
    model: str | None = None
    version: int | str | None = None
    all_widths: bool = False

    @property
    def budget(self) -> float:
        """The budget in seconds; infinite without one, or with one that the server will refuse as out of range."""
        budget = self.budget_ms
        return math.inf if budget is None or not budget > 0 else budget / 1000

    def query(self, elapsed: float) -> dict[str, str]:
        """The query of an attempt that starts `elapsed` seconds into the call, with what is left of the budget."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if self.budget < math.inf:
            values["budget_ms"] = values["budget_ms"] - elapsed * 1000 if elapsed else values["budget_ms"]
        return {name: _text(value) for name, value in values.items() if value is not None and value is not False}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):  # Without an exponent; numpy's float64 is one too.
        return format(Decimal(repr(float(value))), "f")
    return str(value)
