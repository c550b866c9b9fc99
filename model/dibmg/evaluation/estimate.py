"""A figure with its interval, or the reason why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

CONFIDENCE: Final = 0.95
"""Of every interval."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes:
        value, low, high: None where the figure cannot be had; then `reason` says why.
        reason: Why there is no figure, or what is odd about it; empty for nothing to say.
        count, of: The fraction behind a rate.
    """

    value: float | None
    low: float | None
    high: float | None
    reason: str = ""
    count: int | None = None
    of: int | None = None

    def as_json(self) -> dict[str, object]:
        """Value and interval; reason and fraction where there are any."""
        fields: dict[str, object] = {"value": self.value, "low": self.low, "high": self.high}
        if self.of is not None:
            fields |= {"count": self.count, "of": self.of}
        return fields | ({"reason": self.reason} if self.reason else {})

    def text(self, percent: bool = False) -> str:
        """For people: `figure`, and what is odd about it."""
        odd = self.reason if self.value is not None else ""
        return self.figure(percent) + (f"; {odd}" if odd else "")

    def figure(self, percent: bool = False) -> str:
        """Without what is odd: `0.903 (0.871-0.934)`, `75.6 % (70.1-80.4), 131/173`, or why there is none."""
        if self.value is None:
            return f"not known: {self.reason}"
        scale, digits, unit = (100.0, 1, " %") if percent else (1.0, 3, "")
        told = f"{self.value * scale:.{digits}f}{unit}"
        if self.low is not None and self.high is not None:
            told += f" ({self.low * scale:.{digits}f}-{self.high * scale:.{digits}f})"
        return told + (f", {self.count}/{self.of}" if self.of is not None else "")


@dataclass(frozen=True)
class Test:
    """A significance test.

    Attributes:
        name: Of the test, in words.
        statistic: Chi-square or z; None for an exact test.
        p: Two-sided; None where the test cannot be made.
        reason: Why there is no test, or what is odd about it; empty for nothing to say.
    """

    __test__ = False  # for pytest: a test of hypotheses

    name: str
    statistic: float | None
    p: float | None
    degrees_of_freedom: int | None = None
    reason: str = ""

    def as_json(self) -> dict[str, object]:
        """All fields that say something."""
        fields: dict[str, object] = {"test": self.name, "statistic": self.statistic, "p": self.p}
        if self.degrees_of_freedom is not None:
            fields["degrees_of_freedom"] = self.degrees_of_freedom
        return fields | ({"reason": self.reason} if self.reason else {})

    def text(self) -> str:
        """For people: `p = 0.031 (chi-square)`, with what is odd about it, or why there is none."""
        if self.p is None:
            return f"no test: {self.reason}"
        told = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.3f}"
        return f"{told} ({self.name}{f'; {self.reason}' if self.reason else ''})"


def unknown(reason: str, of: int | None = None) -> Estimate:
    """No figure, for a reason."""
    return Estimate(None, None, None, reason, 0 if of is not None else None, of)


def no_test(name: str, reason: str) -> Test:
    """No test, for a reason."""
    return Test(name, None, None, None, reason)


def finite(value: float) -> float | None:
    """The value as JSON can hold it: None for what is not finite."""
    return float(value) if math.isfinite(value) else None
