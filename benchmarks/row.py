"""One line of the table of figures."""

from __future__ import annotations

from dataclasses import dataclass

Place = tuple[str, ...]
"""Keys of a figure in its JSON, from the outermost on."""


@dataclass(frozen=True)
class Aim:
    """What a figure shall be.

    Attributes:
        bound: The least where `at_least`, else the most.
        of_ratio: It is the ratio's, not the figure's own.
    """

    bound: float
    at_least: bool = True
    of_ratio: bool = False

    def __str__(self) -> str:
        return f"{'ratio ' if self.of_ratio else ''}{'≥' if self.at_least else '≤'} {self.bound:g}"

    def is_met(self, figure: float) -> bool:
        """Whether a figure, or a ratio, is as it shall be."""
        return figure >= self.bound if self.at_least else figure <= self.bound


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: In words.
        file: Name of the JSON.
        figure: Where it stands there.
        unit: Of figure and limit.
        beside: The limit or peer, in words.
        limit: Where its figure stands.
        ratio: Where the median ratio of figure and limit stands; None: that of the medians.
        apart: What separates the two.
        scale: From the JSON's unit to the table's.
    """

    what: str
    file: str
    figure: Place
    unit: str
    beside: str = ""
    limit: Place | None = None
    ratio: Place | None = None
    aim: Aim | None = None
    apart: str = ""
    scale: float = 1.0
