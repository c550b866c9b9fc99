"""A bright square at a known place of each view comes back at that place in every object.

The predictor takes its map from the pixels alone, through the model's own preprocessing, placement and
localization: wherever one of them, or an encoding, is off, the square is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset

from dibmg.localize import ViewHeat, find_regions
from dibmg.preprocess import Prepared, least_side, preprocess
from dibmg_node.dicom import facts
from dibmg_node.domain.exam import Exam
from dibmg_node.domain.image import Mammogram, Point
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.result import ExamResult, Finding, OverlayStyle, ResultKind, Scores
from dibmg_node.domain.study import STANDARD_VIEWS, Instance, Laterality, ViewKey
from dibmg_node.services.images import Images
from dibmg_node.services.reading import read_study
from dibmg_node.services.writing import Wish, Writing, Written, write_results
from dibmg_node.storage.archive import Archive
from tests.factories import L_CC, L_MLO, MODEL, POINT, R_CC, R_MLO, START, mammogram, sop_uid
from tests.services.test_reading import files_of

ROWS, COLUMNS = 800, 600
PLACED = (ResultKind.CAD_SR, ResultKind.MEASUREMENT_SR, ResultKind.PRESENTATION)
CORNERS = {R_CC: (0, 0), L_CC: (0, 1), R_MLO: (1, 0), L_MLO: (1, 1)}
"""(lower, at the wall): another corner of the breast for each view."""
TURNED = str.maketrans("APLRFH", "PARLHF")


@dataclass(frozen=True)
class Variant:
    """How an image is stored: mirrored, turned upside down, with air around it; how much is reduced."""

    mirrored: bool = False
    upside_down: bool = False
    wall: int = 0
    above: int = 0
    ratio: int = 2

    @property
    def side(self) -> int:
        """Of the square, stored pixels; odd in network pixels, so that its middle is the center of one."""
        return 45 * self.ratio if self.ratio > 1 else 91

    def __str__(self) -> str:
        return "-".join(f"{name}={value:d}" for name, value in vars(self).items())


VARIANTS = (
    Variant(),
    Variant(ratio=1),
    Variant(mirrored=True),
    Variant(upside_down=True),
    Variant(mirrored=True, upside_down=True),
    Variant(wall=60),
    Variant(above=80),
    Variant(mirrored=True, wall=60, above=80),
    Variant(mirrored=True, upside_down=True, wall=60, above=80, ratio=1),
)


@dataclass(frozen=True)
class BrightPredictor:
    """Satisfies `Predictor`: what is bright is suspicious, and the brightest most of all."""

    size: int

    @property
    def least_side(self) -> int:
        return least_side(self.size)

    def prepare(self, instance: Instance, mammogram: Mammogram) -> Prepared:
        assert instance.laterality is not None
        return preprocess(mammogram, instance.laterality, instance.orientation, self.size)

    def predict(self, exam: Exam, views: Mapping[ViewKey, Prepared]) -> ExamResult:
        findings, heatmaps = [], {}
        for key, instance in exam.views.items():
            prepared = views[key]
            raw = np.stack([np.zeros_like(prepared.pixels), 12 * (prepared.pixels - 0.4)], axis=-1)
            heatmaps[key] = ViewHeat(raw, prepared.breast, prepared.placement)
            for region in find_regions(raw, prepared.breast, prepared.placement, POINT.threshold):
                number = len(findings) + 1
                findings.append(
                    Finding(number, key, instance.sop_uid, region.score, region.center, region.outline)
                )
        breasts = dict.fromkeys((Laterality.RIGHT, Laterality.LEFT), 0.9)
        scores = Scores(0.9, breasts, dict.fromkeys(exam.views, 0.9))
        return ExamResult(exam.study_uid, MODEL, POINT, scores, tuple(findings), heatmaps=heatmaps)


def image_of(view: ViewKey, variant: Variant) -> tuple[FileDataset, Point]:
    """A breast with a bright square whose middle is brightest, and where that middle is stored."""
    lower, at_wall = CORNERS[view]
    wall_is_right = view.laterality is Laterality.RIGHT
    tissue = np.zeros((ROWS, COLUMNS))
    tissue[:, : round(0.8 * COLUMNS)] = 0.4
    side = variant.side
    left, top = (60 if at_wall else 280), (600 if lower else 120)
    if wall_is_right:
        tissue, left = tissue[:, ::-1].copy(), COLUMNS - left - side
    tissue[top : top + side, left : left + side] = 0.85
    column, row, half = left + side // 2, top + side // 2, variant.ratio // 2
    tissue[row - half : row + variant.ratio - half, column - half : column + variant.ratio - half] = 0.98
    middle_column, middle_row = column + (variant.ratio % 2) / 2, row + (variant.ratio % 2) / 2
    if variant.wall or variant.above:
        across = (0, variant.wall) if wall_is_right else (variant.wall, 0)
        tissue = np.pad(tissue, ((variant.above, 0), across))
        middle_column, middle_row = middle_column + across[0], middle_row + variant.above
    along_rows, along_columns = facts.standard_orientation(*view) or ("", "")
    if variant.mirrored:
        tissue, middle_column = tissue[:, ::-1], tissue.shape[1] - middle_column
        along_rows = along_rows.translate(TURNED)
    if variant.upside_down:
        tissue, middle_row = tissue[::-1], tissue.shape[0] - middle_row
        along_columns = along_columns.translate(TURNED)
    pixels = np.rint(tissue * 4095).astype(np.uint16)
    dataset = mammogram(view, pixels=pixels, PatientOrientation=[along_rows, along_columns])
    return dataset, (middle_column, middle_row)


def write(
    archive: Archive,
    variant: Variant,
    kinds: Sequence[ResultKind],
    style: OverlayStyle = OverlayStyle.COLOR,
    max_side: int = 0,
) -> tuple[list[Written], dict[str, Point]]:
    """Results of an exam, and where the square of each image is, by SOP Instance UID."""
    images = [image_of(view, variant) for view in STANDARD_VIEWS]
    predictor = BrightPredictor(max(images[0][0].Rows, images[0][0].Columns) // variant.ratio)
    writing = Writing([Wish(kind) for kind in kinds], START, max_side, style)
    files = files_of(archive, [image for image, _ in images])
    reading = read_study(files, ExamPolicy(), Images(predictor, writing.shown))
    written = list(write_results(reading, writing))
    return written, {str(image.SOPInstanceUID): place for image, place in images}


def of_kind(written: Sequence[Written], kind: ResultKind) -> list[Dataset]:
    return [dcmread(BytesIO(one.content)) for one in written if one.result.kind is kind]


def items(dataset: Dataset) -> list[Dataset]:
    """All content items of a report."""
    return [dataset, *(one for item in dataset.get("ContentSequence") or () for one in items(item))]


def points_of(data: Sequence[float]) -> NDArray[Any]:
    return np.array(data, dtype=float).reshape(-1, 2)


def middle_of(points: NDArray[Any]) -> NDArray[Any]:
    """Middle of the box around points."""
    return np.asarray((points.min(axis=0) + points.max(axis=0)) / 2)


def box_of(points: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(points.max(axis=0) - points.min(axis=0))


def in_report(report: Dataset, root_path: Dataset, concept: str) -> dict[str, NDArray[Any]]:
    """Points of each item of a concept, by the image that it is selected from."""
    found = {}
    for item in items(report):
        if "GraphicData" in item and item.ConceptNameCodeSequence[0].CodeValue == concept:
            source = item.ContentSequence[0]
            if "ReferencedContentItemIdentifier" in source:
                target = root_path
                for position in source.ReferencedContentItemIdentifier[1:]:
                    target = target.ContentSequence[position - 1]
                source = target
            found[source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID] = points_of(item.GraphicData)
    return found


def assert_at(found: Mapping[str, NDArray[Any]], places: Mapping[str, Point], side: int) -> None:
    """Outlines around the squares, to half a stored pixel, and as large."""
    assert set(found) == set(places)
    for uid, points in found.items():
        assert middle_of(points) == pytest.approx(places[uid], abs=0.5)
        assert box_of(points) == pytest.approx((side, side), abs=1.0)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_outlines_are_at_the_place_of_the_square_in_reports_and_presentation_state(
    archive: Archive, variant: Variant
) -> None:
    written, places = write(archive, variant, PLACED)

    (cad,) = of_kind(written, ResultKind.CAD_SR)
    (measurements,) = of_kind(written, ResultKind.MEASUREMENT_SR)
    (state,) = of_kind(written, ResultKind.PRESENTATION)
    assert_at(in_report(cad, cad, "111041"), places, variant.side)
    assert_at(in_report(measurements, measurements, "111030"), places, variant.side)
    shown = {
        one.ReferencedImageSequence[0].ReferencedSOPInstanceUID: points_of(
            one.GraphicObjectSequence[0].GraphicData
        )
        for one in state.GraphicAnnotationSequence
        if "GraphicObjectSequence" in one
    }
    assert_at(shown, places, variant.side)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_center_of_a_finding_is_the_middle_of_the_square(archive: Archive, variant: Variant) -> None:
    written, places = write(archive, variant, PLACED)

    (cad,) = of_kind(written, ResultKind.CAD_SR)
    centers = in_report(cad, cad, "111010")
    assert set(centers) == set(places)
    for uid, points in centers.items():
        assert points[0] == pytest.approx(places[uid], abs=0.5)


def largest(mask: NDArray[np.bool_]) -> NDArray[Any]:
    """(left, top, width, height) of the region with the largest box."""
    _, _, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    regions = boxes[1:, :4]
    return np.asarray(regions[np.argmax(regions[:, 2] * regions[:, 3])], dtype=float)


def box_middle(mask: NDArray[np.bool_]) -> tuple[float, float]:
    left, top, width, height = largest(mask)
    return left + width / 2, top + height / 2


def is_outline(picture: NDArray[Any]) -> NDArray[np.bool_]:
    """Cyan, as outlines, numbers and lines of regions are; the outline is by far the largest of them."""
    red, green, blue = (picture[..., channel].astype(int) for channel in range(3))
    return np.asarray((green - red > 60) & (blue - red > 60))


def is_hot(picture: NDArray[Any]) -> NDArray[np.bool_]:
    red, green, blue = (picture[..., channel].astype(int) for channel in range(3))
    return np.asarray(2 * red - green - blue > 60)


def is_bright(picture: NDArray[Any]) -> NDArray[np.bool_]:
    """The square itself: gray, and brighter than tissue."""
    spread = picture.max(axis=2).astype(int) - picture.min(axis=2)
    return np.asarray((spread < 8) & (picture.min(axis=2) > 0.7 * 255))


MARKS = {
    OverlayStyle.COLOR: ((is_outline, is_hot),),
    OverlayStyle.CONTOUR: ((is_outline, is_bright),),
    OverlayStyle.SIDE_BY_SIDE: ((is_bright,), (is_outline, is_hot)),
}
"""What shows the square in each panel, from the left."""


@pytest.mark.parametrize("style", OverlayStyle)
@pytest.mark.parametrize(
    ("variant", "max_side"),
    [(VARIANTS[0], 0), *((variant, 512) for variant in VARIANTS)],
    ids=str,
)
def test_the_square_is_at_its_place_in_every_panel_of_an_overlay(
    archive: Archive, variant: Variant, style: OverlayStyle, max_side: int
) -> None:
    written, places = write(archive, variant, [ResultKind.OVERLAY], style, max_side)

    overlays = of_kind(written, ResultKind.OVERLAY)
    assert len(overlays) == 4
    for capture in overlays:
        uid = capture.SourceImageSequence[0].ReferencedSOPInstanceUID
        source, _ = image_of(next(v for v in STANDARD_VIEWS if sop_uid(v) == uid), variant)
        panels = np.split(capture.pixel_array, style.panels, axis=1)
        expected = (
            places[uid][0] * panels[0].shape[1] / source.Columns,
            places[uid][1] * panels[0].shape[0] / source.Rows,
        )
        for panel, marks in zip(panels, MARKS[style], strict=True):
            for mark in marks:
                assert box_middle(mark(panel)) == pytest.approx(expected, abs=0.5), mark.__name__


@pytest.mark.parametrize("style", OverlayStyle)
def test_a_length_in_an_overlay_is_the_length_in_the_mammogram(archive: Archive, style: OverlayStyle) -> None:
    written, _ = write(archive, Variant(), [ResultKind.OVERLAY], style, 512)

    for capture in of_kind(written, ResultKind.OVERLAY):
        panel = np.split(capture.pixel_array, style.panels, axis=1)[-1]
        _, _, width, height = largest(is_outline(panel))
        found = width * capture.PixelSpacing[1], height * capture.PixelSpacing[0]
        # the line itself is up to three pixels wide
        tolerance = 3.5 * float(capture.PixelSpacing[0])
        assert found == pytest.approx((Variant().side * 0.1 / 1.03,) * 2, abs=tolerance)
