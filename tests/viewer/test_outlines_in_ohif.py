"""The measurement report as OHIF shows it: its outline lies where the heatmap is hottest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from dibmg_node.domain.image import Point
from dibmg_node.domain.result import ResultKind
from dibmg_node.domain.study import STANDARD_VIEWS, ViewKey
from tests.viewer.exams import GRID, PLACES, ShownExam
from tests.viewer.geometry import center, distance_to_cyan, hottest_place, in_viewport, is_inside
from tests.viewer.ohif import Ohif, Picture, Points

pytestmark = pytest.mark.viewer


def shown_overlay(ohif: Ohif, exam: ShownExam, view: ViewKey) -> Picture:
    ohif.open_series_of(exam.overlays[view])
    first = next(iter(exam.overlays))
    for _ in range(STANDARD_VIEWS.index(view)):
        ohif.wait_for_image(exam.overlays[first])
        ohif.next_image()
        first = STANDARD_VIEWS[STANDARD_VIEWS.index(first) + 1]
    ohif.wait_for_image(exam.overlays[view])
    return ohif.shown()


def shown_outlines(ohif: Ohif, exam: ShownExam) -> list[Points]:
    """Outlines of the report, which OHIF opens on the image of the first finding."""
    ohif.open_series_of(exam.others[ResultKind.MEASUREMENT_SR])
    ohif.wait_for_image(exam.findings[0].sop_uid)
    ohif.shown()
    ohif.redraw()
    return ohif.wait_for_outlines()


@pytest.mark.parametrize("view", STANDARD_VIEWS, ids=str)
def test_the_outline_of_a_report_lies_where_the_overlay_is_hottest(
    ohif: Ohif, planted: Mapping[ViewKey | None, ShownExam], view: ViewKey
) -> None:
    exam = planted[view]
    ohif.open_study(exam.study_uid)

    (outline,) = shown_outlines(ohif, exam)

    picture = ohif.shown()
    ohif.keep(f"report-{view}")
    expected = in_viewport(exam.findings[0].outline, GRID, picture)
    assert np.abs(outline - expected).max() < 1
    (place,) = in_viewport([PLACES[view]], GRID, picture)
    assert np.hypot(*(center(outline) - place)) < 1
    overlay = shown_overlay(ohif, exam, view)
    assert np.hypot(*(center(outline) - hottest_place(overlay))) < 2
    assert ohif.complaints == []


def test_of_an_exam_that_the_model_read_report_and_overlay_mark_the_lesion_alike(
    ohif: Ohif, analyzed: tuple[ShownExam, Mapping[ViewKey, Point]]
) -> None:
    exam, lesions = analyzed
    view = exam.findings[0].view
    ohif.open_study(exam.study_uid)

    outlines = shown_outlines(ohif, exam)

    ohif.keep("analyzed-report")
    overlay = shown_overlay(ohif, exam, view)
    ohif.keep("analyzed-overlay")
    assert len(outlines) == len([one for one in exam.findings if one.view == view])
    assert all(distance_to_cyan(overlay, outline).max() < 3 for outline in outlines)
    hottest = hottest_place(overlay)
    assert any(is_inside(hottest, outline) for outline in outlines)
    (lesion,) = in_viewport([lesions[view]], GRID, overlay)
    assert any(is_inside(lesion, outline) for outline in outlines)
    assert ohif.complaints == []
