"""Self-tests: an invented exam goes the whole way through the node, and leaves no trace in its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

SELFTEST_AET: Final = "DIBMG-SELFTEST"
"""Calling AE title of the node's own self-tests, and called one of their PACS. Nobody else may use it: a
study of this sender is a self-test, wherever studies are counted."""
SELFTEST_DESTINATION: Final = "DIBMG-SELFTEST"
"""Gets the results of self-tests, and nothing else."""

_ROOT: Final = "2.25.146219640462404226953384867303229640773.7"
"""Below the node's Implementation Class UID."""
_DIGITS: Final = 14


class SelfTestStep(StrEnum):
    """What a self-test does, in this order."""

    EXPECTATION = "expectation"
    ASSOCIATION = "association"
    STORAGE = "storage"
    COMPLETION = "completion"
    ANALYSIS = "analysis"
    LESION = "lesion"
    DELIVERY = "delivery"
    REPORT = "report"
    OVERLAYS = "overlays"
    CHECKSUMS = "checksums"
    REMOVAL = "removal"
    END = "end"


@dataclass(frozen=True)
class StepOutcome:
    """What came of one step.

    Attributes:
        found: In words.
        remedy: What is to be done, of a step that broke; else empty.
    """

    step: SelfTestStep
    passed: bool
    seconds: float
    found: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "step": self.step.value,
            "passed": self.passed,
            "seconds": round(self.seconds, 3),
            "found": self.found,
            "remedy": self.remedy,
        }


def broken(steps: Sequence[StepOutcome]) -> StepOutcome | None:
    """The first step that broke."""
    return next((one for one in steps if not one.passed), None)


def selftest_uid(number: int) -> str:
    """Study Instance UID of a self-test.

    Args:
        number: Drawn by chance; what is over 14 digits is cut off.
    """
    return f"{_ROOT}.{1 + number % (10**_DIGITS - 1)}"


def is_selftest_uid(uid: str) -> bool:
    """Whether a UID is one of those that only self-tests use."""
    return uid.startswith(f"{_ROOT}.")
