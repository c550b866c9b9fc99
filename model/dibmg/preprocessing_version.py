"""The version of the preprocessing, which weights are bound to; `dibmg.preprocess` is what it does."""

from __future__ import annotations

from typing import Final

PREPROCESSING_VERSION: Final = "3"
"""Changes whenever the same pixels, as they were decoded, give another network input. What version 3 does:

area-resize the pixel values so that the longer side has the input size; window (first Window
Center/Width, else VOI LUT, else 1st to 99.5th percentile inside the breast); MONOCHROME1 and INVERSE
turned; -1..1; standard orientation; everything outside the breast set to air; the breast moved to the
edge at its chest wall; padded with air to a square, right breasts on the left, left ones on the right,
equally above and below.

Setting what lies outside the breast to air is a departure from the paper: it takes away labels,
markers and film borders, which no label of an exam explains. Moving the breast to the wall is one too:
it takes away padding and film borders beyond the wall, which digital detectors do not have.
"""
