"""Fields of a manifest of weights, each of the kind that it must be: what JSON lets through is not enough."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any


def text_of(fields: Mapping[str, Any], name: str) -> str:
    """A text.

    Raises:
        KeyError: It is not there.
        ValueError: It is something else.
    """
    value = fields[name]
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}, expected a text")
    return value


def number_of(fields: Mapping[str, Any], name: str) -> float:
    """A finite number.

    Raises:
        KeyError: It is not there.
        ValueError: It is something else; true and false are no numbers.
    """
    value = fields[name]
    if not _is_number(value):
        raise ValueError(f"{name} is {value!r}, expected a number")
    return float(value)


def share_of(fields: Mapping[str, Any], name: str) -> float:
    """A number 0..1.

    Raises:
        KeyError: It is not there.
        ValueError: It is something else.
    """
    value = fields[name]
    if not _is_number(value) or not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value!r}, expected a number 0..1")
    return float(value)


def count_of(fields: Mapping[str, Any], name: str) -> int:
    """A whole number from 1.

    Raises:
        KeyError: It is not there.
        ValueError: It is something else.
    """
    value = fields[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} is {value!r}, expected a whole number from 1")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
