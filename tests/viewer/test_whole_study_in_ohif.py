"""No result breaks the viewer: whatever was opened before, the mammograms still open."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from dibmg_node.domain.result import ResultKind
from dibmg_node.domain.study import STANDARD_VIEWS, ViewKey
from tests.factories import R_CC
from tests.viewer.exams import ShownExam
from tests.viewer.geometry import fitted, similarity
from tests.viewer.ohif import Ohif

pytestmark = pytest.mark.viewer


def open_mammograms(ohif: Ohif, exam: ShownExam, name: str) -> dict[ViewKey, float]:
    """How like each mammogram is to its own pixels, where OHIF shows it."""
    found = {}
    for view in STANDARD_VIEWS:
        ohif.open_series_of(exam.images[view])
        ohif.wait_for_image(exam.images[view])
        picture = ohif.shown()
        ohif.keep(f"{name}-{view}")
        pixels = exam.read(exam.images[view]).pixel_array
        gray = np.repeat((pixels >> 4).astype(np.uint8)[..., np.newaxis], 3, axis=2)
        found[view] = similarity(picture, fitted(gray, picture.shape))
    return found


def test_reports_and_presentation_state_leave_the_viewer_whole(
    ohif: Ohif, planted: Mapping[ViewKey | None, ShownExam]
) -> None:
    exam = planted[R_CC]
    ohif.open_study(exam.study_uid)

    for kind in (ResultKind.PRESENTATION, ResultKind.CAD_SR, ResultKind.MEASUREMENT_SR):
        ohif.open_series_of(exam.others[kind])
        ohif.wait_for_image(exam.findings[0].sop_uid)
        ohif.keep(f"opened-{kind}")

    assert not ohif.apologizes()
    assert min(open_mammograms(ohif, exam, "mammogram").values()) > 0.98
    assert ohif.complaints == []


def test_after_the_empty_report_of_an_exam_without_findings_the_mammograms_open(
    ohif: Ohif, planted: Mapping[ViewKey | None, ShownExam]
) -> None:
    exam = planted[None]
    ohif.open_study(exam.study_uid)

    ohif.open_series_of(exam.others[ResultKind.MEASUREMENT_SR])

    ohif.wait_for_apology()
    ohif.keep("empty-report")
    ohif.open_series_of(exam.images[R_CC])
    ohif.wait_for_its_end()
    assert min(open_mammograms(ohif, exam, "after-empty-report").values()) > 0.98
    assert ohif.complaints == []
