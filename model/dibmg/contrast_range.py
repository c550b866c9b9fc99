"""Local contrast of the images of a training: told by a manifest of weights, asked of every view."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any


@dataclass(frozen=True)
class ContrastRange:
    """Local contrast of most of the views that a set of weights was trained on."""

    low: float
    high: float

    def holds(self, contrast: float | None) -> bool:
        """Whether a view with this one is as they are; one without any is not."""
        return contrast is not None and self.low <= contrast <= self.high

    def as_json(self) -> list[float]:
        """The entry `local_contrast` of a manifest."""
        return [self.low, self.high]

    @classmethod
    def from_json(cls, entry: Any) -> ContrastRange:
        """Read the entry.

        Raises:
            ValueError: It is not two rising numbers.
        """
        is_list = isinstance(entry, list) and all(isinstance(one, float | int) for one in entry)
        numbers = entry if is_list else []
        if len(numbers) != 2 or not 0 <= numbers[0] < numbers[1] < inf:
            raise ValueError(f"local_contrast is {entry}, expected two rising numbers from 0")
        return cls(float(numbers[0]), float(numbers[1]))
