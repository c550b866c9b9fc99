"""The measurement report as OHIF shows it: its outline lies where the heatmap is hottest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from dibmg_node.domain.image import Point
from dibmg_node.domain.result import ResultKind
from dibmg_node.domain.study import STANDARD_VIEWS, ViewKey
from tests.viewer.exams import GRID, ShownExam
from tests.viewer.geometry import Points, center, distance_to_cyan, hottest_place, in_viewport, is_inside
from tests.viewer.ohif import Ohif

pytestmark = pytest.mark.viewer


def drawn_outlines(ohif: Ohif, exam: ShownExam) -> list[Points]:
    """Outlines of the report, which OHIF opens on the image of the first finding and on no other."""
    ohif.open_series_of(exam.others[ResultKind.MEASUREMENT_SR])
    ohif.wait_for_image(exam.findings[0].sop_uid)
    return ohif.wait_for_outlines()


@pytest.mark.parametrize("view", STANDARD_VIEWS, ids=str)
def test_the_outline_of_a_report_lies_where_the_overlay_is_hottest(
    ohif: Ohif, planted: Mapping[ViewKey | None, ShownExam], view: ViewKey
) -> None:
    exam = planted[view]
    ohif.open_study(exam.study_uid)

    (outline,) = drawn_outlines(ohif, exam)

    picture = ohif.shown()
    ohif.keep(f"report-{view}")
    overlay = ohif.series_of(exam.overlays, STANDARD_VIEWS[: STANDARD_VIEWS.index(view) + 1])[view]
    assert np.abs(outline - in_viewport(exam.findings[0].outline, GRID, picture)).max() < 1.5
    assert np.hypot(*(center(outline) - hottest_place(overlay))) < 3
    assert ohif.complaints == []


def test_report_and_overlay_of_an_exam_that_the_model_read_mark_its_lesion_alike(
    ohif: Ohif, analyzed: tuple[ShownExam, Mapping[ViewKey, Point]]
) -> None:
    exam, lesions = analyzed
    view = exam.findings[0].view
    header = exam.read(exam.images[view])
    ohif.open_study(exam.study_uid)

    outlines = drawn_outlines(ohif, exam)

    ohif.shown()
    ohif.keep("analyzed-report")
    views = STANDARD_VIEWS[: STANDARD_VIEWS.index(view) + 1]
    overlay = ohif.series_of(exam.overlays, views, "analyzed-overlay")[view]
    (lesion,) = in_viewport([lesions[view]], (header.Rows, header.Columns), overlay)
    assert len(outlines) == len([one for one in exam.findings if one.view == view])
    assert all(distance_to_cyan(overlay, outline).max() < 4 for outline in outlines)
    assert [is_inside(hottest_place(overlay), one) for one in outlines].count(True) == 1
    assert [is_inside(lesion, one) for one in outlines].count(True) == 1
    assert ohif.complaints == []
