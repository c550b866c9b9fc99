"""Drawings of the drift page: from figures to the places of lines and bars in an SVG picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

WIDTH: Final = 320.0
HEIGHT: Final = 120.0
"""Of the drawing within its margins."""


@dataclass(frozen=True)
class Distributions:
    """Two histograms over the same scores.

    Attributes:
        recent: Bars from the left: x, y, width and height.
        reference: Corners of a line that steps along the tops of its bars, as `points` of a polyline.
        threshold: x of the operating point.
        highest: Share that the top of the drawing stands for.
    """

    recent: Sequence[tuple[float, float, float, float]]
    reference: str
    threshold: float | None
    highest: float


@dataclass(frozen=True)
class Rates:
    """Rates one after the other, with their intervals.

    Attributes:
        marks: x, y of the rate, y of the upper end and of the lower end.
        line: Through the rates, as `points` of a polyline.
        band: Interval of the reference: y of its upper end, and its height; None: there is none.
        highest: Rate that the top of the drawing stands for.
    """

    marks: Sequence[tuple[float, float, float, float]]
    line: str
    band: tuple[float, float] | None
    highest: float


def draw_distributions(
    recent: Sequence[float], reference: Sequence[float] | None, threshold: float | None
) -> Distributions:
    """Lay two histograms over each other.

    Args:
        recent: Share of each bin of 0..1, from the lowest.
        reference: The same of the reference; None: there is none.
        threshold: 0..1.
    """
    highest = max([*recent, *(reference or ()), 1e-9])
    step = WIDTH / len(recent)

    def tall(share: float) -> float:
        return _place(HEIGHT * share / highest)

    bars = [
        (_place(place * step), _place(HEIGHT - tall(share)), _place(step), tall(share))
        for place, share in enumerate(recent)
    ]
    corners = [
        (_place((place + end) * step), _place(HEIGHT - tall(share)))
        for place, share in enumerate(reference or ())
        for end in (0, 1)
    ]
    line = None if threshold is None else _place(threshold * WIDTH)
    return Distributions(bars, _points(corners), line, highest)


def draw_rates(rates: Sequence[Mapping[str, float]], reference: Mapping[str, float] | None) -> Rates:
    """Lay rates side by side, the interval of the reference behind them.

    Args:
        rates: With `value`, `low` and `high`, 0..1, the oldest first.
        reference: The same of the reference; None: there is none.
    """
    every = [*rates, *([reference] if reference else [])]
    highest = min(1.2 * max([one["high"] for one in every], default=1.0), 1.0)

    def height(rate: float) -> float:
        return _place(HEIGHT - HEIGHT * rate / highest)

    step = WIDTH / max(len(rates), 1)
    marks = [
        (_place((at + 0.5) * step), height(one["value"]), height(one["high"]), height(one["low"]))
        for at, one in enumerate(rates)
    ]
    band = None
    if reference:
        top = height(reference["high"])
        band = top, _place(height(reference["low"]) - top)
    return Rates(marks, _points([mark[:2] for mark in marks]), band, highest)


def _points(corners: Sequence[tuple[Any, ...]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in corners)


def _place(value: float) -> float:
    return round(value, 1)
