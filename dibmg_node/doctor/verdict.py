"""What the doctor says of one thing: how it is, what was found and expected, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from dibmg_node.config import Settings


class Level(StrEnum):
    """How it is; the worst one of all decides."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Verdict:
    """One thing.

    Attributes:
        check: What was looked at.
        expected: Empty where what was found needs no measure.
        remedy: What is to be done, in one sentence; empty where it is well.
    """

    check: str
    level: Level
    found: str
    expected: str = ""
    remedy: str = ""


Check: TypeAlias = Callable[[Settings], Iterator[Verdict]]
"""Looks at a group of things."""


def well(check: str, found: str, expected: str = "") -> Verdict:
    """It is as it should be."""
    return Verdict(check, Level.OK, found, expected)


def doubtful(check: str, found: str, expected: str, remedy: str) -> Verdict:
    """The node works, but not as well, or not for long."""
    return Verdict(check, Level.WARNING, found, expected, remedy)


def bad(check: str, found: str, expected: str, remedy: str) -> Verdict:
    """The node does not work, or not safely."""
    return Verdict(check, Level.ERROR, found, expected, remedy)


def worst(verdicts: list[Verdict]) -> Level:
    """The worst level of all."""
    order = list(Level)
    return max((one.level for one in verdicts), key=order.index, default=Level.OK)
