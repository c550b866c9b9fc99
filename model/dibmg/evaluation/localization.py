"""Whether the hottest cell of the map lies in the lesion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dibmg.evaluation.estimate import Estimate, finite
from dibmg.evaluation.rates import RateInterval, rate
from dibmg.evaluation.reading import ImageReading


@dataclass(frozen=True)
class Localization:
    """Hits on images of a cancer whose place is known.

    Attributes:
        hits: Images whose hottest cell on the breast has its center in the lesion.
        chance: Mean share of the breast's cells that do; None without such an image.
    """

    hits: Estimate
    chance: float | None

    def as_json(self) -> dict[str, object]:
        """As under `localization` of the report."""
        return {
            "hits": self.hits.count,
            "lesions": self.hits.of,
            "rate": self.hits.value,
            "low": self.hits.low,
            "high": self.hits.high,
            "chance": self.chance,
            **({"reason": self.hits.reason} if self.hits.reason else {}),
        }


def localize(images: Sequence[ImageReading], interval: RateInterval = RateInterval.WILSON) -> Localization:
    """Hits and chance over all images read.

    Args:
        images: Those without a known place of a cancer do not count.
        interval: Of the rate.
    """
    hits = [image.places.hit for image in images if image.places.hit is not None]
    chances = [image.places.chance for image in images if image.places.chance is not None]
    return Localization(
        rate(sum(hits), len(hits), "lesion whose place is known", interval),
        finite(float(np.mean(chances))) if chances else None,
    )
