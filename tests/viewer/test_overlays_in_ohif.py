"""Overlays as OHIF shows them: over four views, in their colors, with their heat where it belongs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from dibmg_node.domain.study import STANDARD_VIEWS, ViewKey
from tests.factories import R_CC
from tests.viewer.exams import GRID, PLACES, ShownExam
from tests.viewer.geometry import fitted, hottest_place, in_viewport, likeness
from tests.viewer.ohif import Ohif

pytestmark = pytest.mark.viewer


def test_the_overlays_show_over_four_views_in_their_colors_with_their_heat_in_place(
    ohif: Ohif, planted: Mapping[ViewKey | None, ShownExam]
) -> None:
    exam = planted[R_CC]
    ohif.open_study(exam.study_uid)

    pictures = ohif.series_of(exam.overlays, STANDARD_VIEWS)

    for view, picture in pictures.items():
        held = exam.read(exam.overlays[view]).pixel_array
        assert likeness(picture, fitted(held, picture.shape)) > 0.98
        (place,) = in_viewport([PLACES[view]], GRID, picture)
        assert np.hypot(*(hottest_place(picture) - place)) < 3
    assert list(pictures) == list(STANDARD_VIEWS)
    assert ohif.complaints == []
