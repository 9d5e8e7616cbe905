"""JSON to dataclasses, by their type hints. Unknown fields are ignored, so a newer server can add some."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def decode(kind: type[T], value: object) -> T:
    """The value as the dataclass `kind`; raises ValueError where it does not fit."""
    return _decode(kind, value)  # type: ignore[no-any-return]


def _decode(hint: Any, value: Any) -> Any:
    if hint is Any:
        return value
    if get_origin(hint) is Union:  # Only `Optional` occurs.
        return None if value is None else _decode(get_args(hint)[0], value)
    if get_origin(hint) is tuple:  # Only `tuple[X, ...]` occurs.
        _expect(value, list)
        return tuple(_decode(get_args(hint)[0], item) for item in value)
    if dataclasses.is_dataclass(hint):
        return _decode_fields(hint, value)
    if hint is float:  # Full width is written as 1.
        _expect(value, (int, float))
        return float(value)
    _expect(value, hint)
    return value


def _decode_fields(kind: Any, value: Any) -> Any:
    _expect(value, dict)
    hints = _hints(kind)
    try:
        return kind(**{name: _decode(hint, value[name]) for name, hint in hints.items() if name in value})
    except TypeError as error:  # A required field is missing.
        raise ValueError(str(error)) from None


def _expect(value: object, kind: Any) -> None:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{value!r:.100} is not of type {kind}")


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
