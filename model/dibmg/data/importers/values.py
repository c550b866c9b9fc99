"""Words of published tables as the manifest's values; an unknown word is None, never a guess."""

from __future__ import annotations

import re
from typing import Final

from dibmg.data.manifest import Density, Label
from dibmg_node.domain.study import Laterality, View

CANCER_BIRADS: Final = 4
"""A BI-RADS category from which on a breast counts as cancer where a layout has no pathology.

It is a reader's suspicion, not a diagnosis: of category 4 alone, 2 to 95 % are malignant.
Source: ACR BI-RADS Atlas, 5th edition (2013).
"""
BIRADS_NOTE: Final = (
    f"There is no pathology: BI-RADS {CANCER_BIRADS} and above counts as cancer, 2 and 3 as benign, 1 as "
    "normal. That is what a reader suspected, not what a biopsy proved."
)

_LATERALITIES: Final = {
    "l": Laterality.LEFT,
    "left": Laterality.LEFT,
    "r": Laterality.RIGHT,
    "right": Laterality.RIGHT,
}


def laterality_of(text: str) -> Laterality | None:
    """L, R, LEFT or RIGHT in any case."""
    return _LATERALITIES.get(text.strip().lower())


def view_of(text: str) -> View | None:
    """A View Position term in any case."""
    term = text.strip().upper()
    return View(term) if term in {view.value for view in View} else None


def age_of(text: str) -> int | None:
    """Whole years of `53`, `53.0` or DICOM's `053Y`; None outside 1..120."""
    match = re.fullmatch(r"0*(\d{1,3})(\.0*)?Y?", text.strip(), re.IGNORECASE)
    years = int(match.group(1)) if match else 0
    return years if 1 <= years <= 120 else None


def density_of(text: str) -> Density | None:
    """BI-RADS density of `C`, `DENSITY C` or the older `3`; None for mixed and missing ones."""
    match = re.fullmatch(r"(?:density|acr)?\s*([a-d1-4])(?:\.0)?", text.strip(), re.IGNORECASE)
    if match is None:
        return None
    sign = match.group(1).upper()
    return Density(sign if sign.isalpha() else "ABCD"[int(sign) - 1])


def birads_of(text: str) -> int | None:
    """Highest BI-RADS category in a cell such as `4a`, `BI-RADS 5` or `4$2`; None where there is none."""
    categories = [int(digit) for digit in re.findall(r"(?<!\d)([0-6])(?![\d.]*\d)", text)]
    return max(categories, default=None)


def label_of_birads(category: int | None) -> Label | None:
    """Label of a breast by what its reader suspected; None for category 0, which waits for more images."""
    if not category:
        return None
    if category >= CANCER_BIRADS:
        return Label.CANCER
    return Label.NORMAL if category == 1 else Label.BENIGN
