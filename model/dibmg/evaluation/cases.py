"""Cases of the report: the best and the worst units, drawn with their heatmaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg.data.images import lesion_area
from dibmg.data.manifest import ImageRow
from dibmg.evaluation.performance import Decision
from dibmg.evaluation.reading import ImageReading, prepare
from dibmg.evaluation.units import Unit, UnitSet
from dibmg.localize import dib_map, hottest_cell, project
from dibmg.preprocess import Prepared
from dibmg.runtime import Runtime
from dibmg_node.dicom.colors import OUTLINE, blend, heat_start
from dibmg_node.errors import RejectedError

CASES: Final = 3
"""Of each kind."""

_HEIGHT: Final = 300
_MARGIN: Final = 8
_GAP: Final = 4
_QUALITY: Final = 85
_BLACK: Final = (0, 0, 0)
_WHITE: Final = (255, 255, 255)


@dataclass(frozen=True, eq=False)
class Picture:
    """One image of a case: `jpeg` shows it plain, and beside it with its heatmap."""

    caption: str
    jpeg: bytes


@dataclass(frozen=True, eq=False)
class Case:
    """One unit to look at; it is named by its number in `scores.csv`."""

    number: int
    unit: Unit
    called: bool
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, eq=False)
class CaseGroup:
    """Cases of one kind."""

    title: str
    cases: tuple[Case, ...]


def choose_cases(units: UnitSet) -> list[tuple[str, list[int]]]:
    """Title and places of the cases of each kind; no unit is in two kinds, none in an empty one.

    Args:
        units: Of the evaluation.
    """
    order = np.argsort(units.scores, kind="stable")
    cancers = [int(place) for place in order if units.labels[place]]
    others = [int(place) for place in order if not units.labels[place]]
    lowest, highest = _ends(cancers)
    calm, alarming = _ends(others)
    kinds = [
        ("Cancers with the highest scores", highest),
        ("Cancers with the lowest scores", lowest),
        ("Without cancer, with the highest scores", alarming),
        ("Without cancer, with the lowest scores", calm),
    ]
    return [(title, places) for title, places in kinds if places]


def draw_cases(units: UnitSet, decision: Decision, runtime: Runtime, size: int) -> list[CaseGroup]:
    """The chosen cases with their pictures; the images are read again.

    Args:
        units: Of the evaluation.
        decision: Its threshold tells from where on the heatmap is drawn, and what was called.
        runtime: Computes their maps again.
        size: Side of the network's input, pixels.
    """
    called = decision.calls(units)
    groups = []
    for title, places in choose_cases(units):
        cases = []
        for place in places:
            unit = units.units[place]
            threshold = decision.threshold_for(unit.device)
            pictures = tuple(_picture(image, runtime, size, threshold) for image in unit.images)
            cases.append(Case(place + 1, unit, bool(called[place]), pictures))
        groups.append(CaseGroup(title, tuple(cases)))
    return groups


def overlay(
    row: ImageRow, raw_map: NDArray[np.float32], prepared: Prepared, threshold: float
) -> NDArray[np.uint8]:
    """The prepared image plain, and beside it with heatmap, hottest cell and, where known, the lesion.

    Args:
        row: Of the image.
        raw_map: float32 (h, w, 2).
        prepared: The image.
        threshold: Of the operating point.

    Returns:
        uint8 (rows, columns, 3), RGB, cut to the breast.
    """
    plain = ((prepared.pixels + 1.0) / 2.0).astype(np.float32)
    square = (plain.shape[1], plain.shape[0])
    enlarged = cv2.resize(dib_map(raw_map), square, interpolation=cv2.INTER_LINEAR)
    heat = np.asarray(np.where(prepared.breast, enlarged, 0.0), dtype=np.float32)
    drawn = np.ascontiguousarray(blend(plain, heat, heat_start(threshold)))
    lesion = _lesion(row, prepared)
    if lesion is not None:
        contours, _ = cv2.findContours(lesion.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, contours, -1, OUTLINE, 2, cv2.LINE_AA)
    place = hottest_cell(raw_map, prepared.breast)
    if place is not None:
        center = (int(place[0]), int(place[1]))
        for color, width in ((_BLACK, 4), (_WHITE, 2)):
            cv2.drawMarker(drawn, center, color, cv2.MARKER_CROSS, square[0] // 28, width)
    top, left, height, width = _box(prepared.breast)
    gray = np.repeat(np.rint(plain * 255).astype(np.uint8)[..., None], 3, axis=2)
    cut = [one[top : top + height, left : left + width] for one in (gray, drawn)]
    gap = np.full((height, _GAP, 3), 255, np.uint8)
    return np.concatenate([cut[0], gap, cut[1]], axis=1)


def _ends(places: Sequence[int]) -> tuple[list[int], list[int]]:
    """The lowest, rising, and the highest, falling, of places in the order of their scores."""
    count = min(CASES, len(places) // 2)
    highest = list(reversed(places[len(places) - max(count, min(1, len(places))) :]))
    return list(places[:count]), highest


def _picture(image: ImageReading, runtime: Runtime, size: int, threshold: float) -> Picture:
    prepared = prepare(image.row, size)
    raw_map = runtime.maps([prepared.pixels])[0]
    drawn = overlay(image.row, raw_map, prepared, threshold)
    width = max(1, round(drawn.shape[1] * _HEIGHT / drawn.shape[0]))
    method = cv2.INTER_AREA if drawn.shape[0] > _HEIGHT else cv2.INTER_LINEAR
    shown = cv2.cvtColor(cv2.resize(drawn, (width, _HEIGHT), interpolation=method), cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    place = {True: ", hottest cell in the lesion", False: ", hottest cell not in the lesion", None: ""}
    caption = f"{image.row.view_key}, line {image.row.line}{place[image.places.hit]}"
    return Picture(caption, jpeg.tobytes())


def _lesion(row: ImageRow, prepared: Prepared) -> NDArray[np.bool_] | None:
    try:
        area = lesion_area(row, (prepared.placement.source_rows, prepared.placement.source_columns))
    except RejectedError:  # told of among what was left out
        return None
    return None if area is None else project(area, prepared.placement, prepared.breast.shape)


def _box(breast: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Top, left, height and width of what is shown: the breast with a margin."""
    left, top, width, height = cv2.boundingRect(breast.astype(np.uint8))
    first_row, first_column = max(top - _MARGIN, 0), max(left - _MARGIN, 0)
    last_row, last_column = (
        min(top + height + _MARGIN, breast.shape[0]),
        min(left + width + _MARGIN, breast.shape[1]),
    )
    return first_row, first_column, last_row - first_row, last_column - first_column
