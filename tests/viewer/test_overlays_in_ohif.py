"""Overlays as OHIF shows them: over four views, and with their heat where it belongs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from dibmg_node.domain.study import STANDARD_VIEWS, ViewKey
from tests.factories import R_CC
from tests.viewer.exams import GRID, PLACES, ShownExam
from tests.viewer.geometry import fitted, hottest_place, in_viewport
from tests.viewer.ohif import Ohif

pytestmark = pytest.mark.viewer


def test_the_overlays_show_over_four_views_in_their_colors_with_their_heat_in_place(
    ohif: Ohif, planted: Mapping[ViewKey | None, ShownExam]
) -> None:
    exam = planted[R_CC]
    ohif.open_study(exam.study_uid)

    ohif.open_series_of(exam.overlays[R_CC])

    for view in STANDARD_VIEWS:
        if view != R_CC:
            ohif.next_image()
        ohif.wait_for_image(exam.overlays[view])
        shown = ohif.shown()
        ohif.keep(f"overlay-{view}")
        expected = fitted(exam.read(exam.overlays[view]).pixel_array, shown.shape)
        assert np.abs(shown.astype(int) - expected).mean() < 2
        (place,) = in_viewport([PLACES[view]], GRID, shown)
        assert np.hypot(*(hottest_place(shown) - place)) < 2
    assert ohif.complaints == []
