"""Caption and color bar: which lines stay where there is little room, and what they may cover."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise, product

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dibmg_node.dicom import lettering
from dibmg_node.dicom.caption import RESEARCH_ONLY, Line, Panel, caption_lines, caption_panel, color_bar
from dibmg_node.dicom.placement import Box, FreeSpace
from dibmg_node.domain.result import ExamResult, Scores
from dibmg_node.domain.study import Laterality
from tests.dicom.factories_results import R_CC, exam, finding

UNLIKE = "unlike the images of training: local contrast 0.380, there 0.093 to 0.373; scores may mean nothing"
SIZE = 14


def large_breast(rows: int, columns: int) -> NDArray[np.float32]:
    """Tissue everywhere, but for a strip of air at the top."""
    image = np.full((rows, columns), 0.5, dtype=np.float32)
    image[:8] = 0.0
    return image


def lettered(image: NDArray[np.float32], lines: list[Line], *marks: Box) -> NDArray[np.uint8]:
    """An image of a right breast with findings in these boxes, after caption and color bar were laid."""
    canvas = np.repeat(np.rint(image * 255).astype(np.uint8)[..., np.newaxis], 3, axis=2)
    space = FreeSpace(image, Laterality.RIGHT)
    for box in marks:
        right, bottom = box.left + box.width, box.top + box.height
        corners = [(box.left, box.top), (right, box.top), (right, bottom), (box.left, bottom)]
        space.take(np.array(corners, dtype=np.float64))
    if lines:
        lettering.lay_caption(canvas, space, lines, SIZE)
        lettering.lay_color_bar(canvas, space, 0.37, SIZE, 1.0)
    return canvas


def holds(picture: NDArray[np.uint8], panels: Iterable[Panel | None]) -> bool:
    """Whether every bright pixel of one of the panels is somewhere in a picture."""
    for panel in panels:
        if panel is None or panel.shape[0] > picture.shape[0] or panel.shape[1] > picture.shape[1]:
            continue
        bright = (panel.max(axis=2, keepdims=True) > 180).repeat(3, axis=2).astype(np.uint8)
        apart = cv2.matchTemplate(picture, panel, cv2.TM_SQDIFF, mask=bright)
        top, left = np.unravel_index(np.argmin(apart), apart.shape)
        there = picture[top : top + panel.shape[0], left : left + panel.shape[1]]
        if np.array_equal(there[bright > 0], panel[bright > 0]):
            return True
    return False


def has_caption(picture: NDArray[np.uint8], lines: list[Line]) -> bool:
    columns = picture.shape[1]
    choices = [
        (letters, width)
        for letters in lettering._sizes(SIZE)
        for width in lettering._widths(letters, columns)
    ]
    return holds(picture, (caption_panel(lines, letters, width) for letters, width in choices))


def has_color_bar(picture: NDArray[np.uint8]) -> bool:
    heights = [round(share * max(picture.shape[:2])) for share in lettering._BAR_HEIGHTS]
    choices = product(lettering._sizes(SIZE), heights)
    return holds(picture, (color_bar(0.37, letters, height) for letters, height in choices))


def below_and_unlike() -> ExamResult:
    scores = Scores(0.9, {Laterality.RIGHT: 0.2, Laterality.LEFT: 0.9}, {R_CC: 0.2})
    return replace(exam(), scores=scores, notes={R_CC: (UNLIKE,)})


def test_regions_are_left_out_first_and_then_scores_of_view_and_breast() -> None:
    lines = caption_lines(replace(exam(finding(R_CC), finding(R_CC, 2)), notes={R_CC: (UNLIKE,)}), R_CC)

    shortened = list(lettering._shortened(lines))

    gone = [
        next(line.words for line in longer if line not in shorter) for longer, shorter in pairwise(shortened)
    ]
    assert shortened[0] == lines
    assert gone == [
        "Region 2: 0.830",
        "Region 1: 0.830",
        "Right breast score 0.830",
        "View score 0.830",
        UNLIKE,
        "Exam is at or above operating point 0.370 (default)",
        "Exam score 0.830",
    ]
    assert [line.words for line in shortened[-1]] == [RESEARCH_ONLY, "R-CC", "DIB-MG synthetic 0.1.0"]


def test_a_breast_that_fills_the_image_still_gets_all_of_its_words() -> None:
    lines = caption_lines(exam(finding(R_CC)), R_CC)

    assert has_caption(lettered(large_breast(1024, 800), lines), lines)


def test_a_finding_that_fills_the_image_takes_no_line_from_the_caption_and_no_color_bar() -> None:
    lines = caption_lines(replace(exam(finding(R_CC)), notes={R_CC: (UNLIKE,)}), R_CC)

    picture = lettered(large_breast(1024, 800), lines, Box(0, 0, 800, 1024))

    assert has_caption(picture, lines)
    assert has_color_bar(picture)


def test_in_a_small_image_operating_point_and_warnings_stay_whatever_they_cover() -> None:
    lines = caption_lines(below_and_unlike(), R_CC)

    picture = lettered(large_breast(512, 210), lines, Box(0, 0, 210, 512))

    told = [line for line in lines if not line.words.startswith(("View score", "Right breast score"))]
    assert {UNLIKE, "Breast below operating point: no region marked, heat is no finding"} < {
        line.words for line in told
    }
    assert has_caption(picture, told)


def test_words_that_fit_into_no_place_of_the_image_give_way_until_the_rest_fits() -> None:
    lines = caption_lines(below_and_unlike(), R_CC)

    picture = lettered(large_breast(200, 160), lines)

    told = [line for line in lines if not line.words.startswith(("View", "Right", "Breast", "unlike"))]
    assert [line.words for line in told[2:-1]] == [
        "Exam score 0.900",
        "Exam is at or above operating point 0.370 (default)",
    ]
    assert has_caption(picture, told)


@pytest.mark.parametrize("columns", [120, 210, 400, 1500])
def test_no_word_is_broken_in_a_caption_that_has_the_width_for_it(columns: int) -> None:
    for letters in (13, 20):
        for width in lettering._widths(letters, columns):
            panel = caption_panel([Line(RESEARCH_ONLY)], letters, width)
            words = caption_panel([Line(word) for word in RESEARCH_ONLY.split()], letters, width)
            assert panel is not None
            assert words is not None
            assert panel.shape[0] <= words.shape[0]


@pytest.mark.parametrize("side", ["left", "right"])
def test_words_cover_no_finding_where_there_is_tissue_beside_it(side: str) -> None:
    lines = caption_lines(exam(finding(R_CC)), R_CC)
    left = 0 if side == "left" else 400
    image = large_breast(1024, 800)
    untouched = lettered(image, [])[:, left : left + 400]

    picture = lettered(image, lines, Box(left, 0, 400, 1024))

    assert has_caption(picture, lines)
    assert has_color_bar(picture)
    assert np.array_equal(picture[:, left : left + 400], untouched)


def test_the_color_bar_never_covers_the_words() -> None:
    lines = caption_lines(below_and_unlike(), R_CC)

    picture = lettered(large_breast(420, 330), lines, Box(0, 0, 330, 420))

    kept = [line for line in lines if not line.words.startswith(("View score", "Right breast score"))]
    assert has_caption(picture, kept)
    assert has_color_bar(picture)
