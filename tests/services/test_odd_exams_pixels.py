"""Mammograms stored in odd ways: the same picture and the same places come out, and what was odd is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence

from dibmg_node.dicom import facts
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality, ViewKey
from tests.factories import L_CC, L_MLO, R_CC, R_MLO, sop_uid
from tests.services.odd_exams import (
    COLUMNS,
    ROWS,
    SIDE,
    Answer,
    answer,
    errors,
    hot_box,
    odd,
    planted,
    screening,
)

FROM_WALL, ROW = 150, 180
TOP = 4095
NO_WINDOW = {"WindowCenter": None, "WindowWidth": None}


def voi_lut(first: int, values: NDArray[Any]) -> DicomSequence:
    """A table to 12 bits; its descriptor has the sign of the pixels that it is for (PS3.3 C.11.2.1.1)."""
    table = Dataset()
    table.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(values), first, 12])
    table.add_new("LUTData", "OW", values.astype("<u2").tobytes())
    return DicomSequence([table])


def monochrome_1(view: ViewKey) -> FileDataset:
    inverse = {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}
    return odd(view, TOP - planted(view), **inverse)


def voi_lut_sequence(view: ViewKey) -> FileDataset:
    """Stored upside down and 100 too high; the table alone makes a mammogram of it."""
    table = voi_lut(100, np.arange(TOP, -1, -1))
    return odd(view, TOP - planted(view) + 100, bits=13, VOILUTSequence=table, **NO_WINDOW)


def signed(view: ViewKey) -> FileDataset:
    return odd(view, planted(view).astype(np.int16) - 2048, WindowCenter="0")


def signed_with_voi_lut(view: ViewKey) -> FileDataset:
    table = voi_lut(-2048, np.arange(TOP + 1))
    return odd(view, planted(view).astype(np.int16) - 2048, VOILUTSequence=table, **NO_WINDOW)


def window_before_table(view: ViewKey) -> FileDataset:
    """With both, the window counts: decisions of the house, and what workstations show first."""
    return odd(view, VOILUTSequence=voi_lut(0, np.full(TOP + 1, 7)))


def several_windows(view: ViewKey) -> FileDataset:
    return odd(view, WindowCenter=["2048", "100"], WindowWidth=["4096", "20"])


def jpeg_lossless(view: ViewKey) -> FileDataset:
    return odd(view, transfer_syntax_uid=facts.JPEG_LOSSLESS_SV1)


def signed_jpeg_2000(view: ViewKey) -> FileDataset:
    pixels = planted(view).astype(np.int16) - 2048
    return odd(view, pixels, transfer_syntax_uid=facts.JPEG_2000_LOSSLESS, WindowCenter="0")


STORED: list[Callable[[ViewKey], FileDataset]] = [
    monochrome_1,
    voi_lut_sequence,
    signed,
    signed_with_voi_lut,
    window_before_table,
    several_windows,
    jpeg_lossless,
    signed_jpeg_2000,
]


def places(told: Answer) -> dict[ViewKey, tuple[float, float]]:
    return {view: told.centers[sop_uid(view)] for view in STANDARD_VIEWS}


def box(column: int, row: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the planted square around a pixel."""
    half = SIDE // 2
    return column - half, row - half, column + half, row + half


def column_of(view: ViewKey) -> int:
    return COLUMNS - 1 - FROM_WALL if view.laterality is Laterality.RIGHT else FROM_WALL


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """The answer to the same exam as most units send it."""
    return answer(tmp_path_factory.mktemp("plain"), screening())


def test_a_planted_square_is_where_it_was_planted_in_overlay_and_report(plain: Answer) -> None:
    for view in STANDARD_VIEWS:
        assert plain.centers[sop_uid(view)] == (column_of(view) + 0.5, ROW + 0.5)
        assert hot_box(plain.overlays[sop_uid(view)]) == box(column_of(view), ROW)


@pytest.mark.parametrize("stored", STORED)
def test_the_same_mammograms_stored_in_another_way_give_the_same_pictures_and_places(
    tmp_path: Path, plain: Answer, stored: Callable[[ViewKey], FileDataset]
) -> None:
    told = answer(tmp_path, [stored(view) for view in STANDARD_VIEWS])

    assert places(told) == places(plain)
    for view in STANDARD_VIEWS:
        found, expected = (one.overlays[sop_uid(view)].pixel_array for one in (told, plain))
        assert np.abs(found.astype(int) - expected).max() <= 1
    assert [line for result in told.results for line in errors(tmp_path, result)] == []


def test_one_odd_view_among_ordinary_ones_changes_nothing_of_the_others(
    tmp_path: Path, plain: Answer
) -> None:
    told = answer(tmp_path, [monochrome_1(R_CC), signed(L_CC), odd(R_MLO), voi_lut_sequence(L_MLO)])

    assert places(told) == places(plain)
    assert {told.codes[sop_uid(view)] for view in STANDARD_VIEWS} == {"USED"}


def flipped(view: ViewKey, how: str) -> FileDataset:
    """A view with its pixels turned, and a Patient Orientation that says so."""
    rows, columns = facts.standard_orientation(*view) or ("", "")
    opposite = str.maketrans("APLRFH", "PARLHF")
    pixels = planted(view)
    if "left to right" in how:
        pixels, rows = pixels[:, ::-1], rows.translate(opposite)
    if "top to bottom" in how:
        pixels, columns = pixels[::-1], columns.translate(opposite)
    return odd(view, np.ascontiguousarray(pixels), PatientOrientation=[rows, columns])


@pytest.mark.parametrize("how", ["left to right", "top to bottom", "left to right and top to bottom"])
def test_a_turned_image_is_shown_and_marked_as_it_is_stored_and_its_orientation_goes_with_it(
    tmp_path: Path, how: str
) -> None:
    images = [flipped(view, how) for view in STANDARD_VIEWS]

    told = answer(tmp_path, images)

    for view, image in zip(STANDARD_VIEWS, images, strict=True):
        column = COLUMNS - 1 - column_of(view) if "left to right" in how else column_of(view)
        row = ROWS - 1 - ROW if "top to bottom" in how else ROW
        overlay, context = told.overlays[sop_uid(view)], told.context(sop_uid(view))
        assert told.centers[sop_uid(view)] == (column + 0.5, row + 0.5)
        assert hot_box(overlay) == box(column, row)
        assert overlay.PatientOrientation == image.PatientOrientation
        orientation = [context["Patient Orientation Row"], context["Patient Orientation Column"]]
        assert orientation == list(image.PatientOrientation)


JPEG = {"transfer_syntax_uid": facts.JPEG_BASELINE, "bits": 8}
LOSSY: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as the header says": (
        {
            "LossyImageCompression": "01",
            "LossyImageCompressionRatio": "12.5",
            "LossyImageCompressionMethod": "ISO_15444_1",
        },
        {
            "LossyImageCompression": "01",
            "LossyImageCompressionRatio": 12.5,
            "LossyImageCompressionMethod": "ISO_15444_1",
        },
    ),
    "twice": (
        {
            "LossyImageCompression": "01",
            "LossyImageCompressionRatio": ["8", "4"],
            "LossyImageCompressionMethod": ["ISO_10918_1", "ISO_15444_1"],
        },
        {
            "LossyImageCompression": "01",
            "LossyImageCompressionRatio": [8.0, 4.0],
            "LossyImageCompressionMethod": ["ISO_10918_1", "ISO_15444_1"],
        },
    ),
    "by its transfer syntax, whatever the header says": (
        JPEG | {"LossyImageCompression": "00"},
        {"LossyImageCompression": "01", "LossyImageCompressionMethod": "ISO_10918_1"},
    ),
    "by its transfer syntax alone": (
        JPEG | {"LossyImageCompression": None},
        {"LossyImageCompression": "01", "LossyImageCompressionMethod": "ISO_10918_1"},
    ),
}


@pytest.mark.parametrize(("changes", "carried"), LOSSY.values(), ids=LOSSY)
def test_that_an_image_was_compressed_with_loss_goes_with_its_overlay_and_is_told_in_the_report(
    tmp_path: Path, changes: dict[str, Any], carried: dict[str, Any]
) -> None:
    pixels = planted(L_CC) >> 4 if "bits" in changes else planted(L_CC)

    told = answer(tmp_path, [odd(R_CC), odd(L_CC, pixels, **changes), odd(R_MLO), odd(L_MLO)])

    overlay = told.overlays[sop_uid(L_CC)]
    assert {name: overlay[name].value for name in carried} == carried
    assert {told.overlays[sop_uid(view)].LossyImageCompression for view in (R_CC, R_MLO, L_MLO)} == {"00"}
    notes = {one for one in told.parameters if one.startswith("lossy")}
    assert notes == {f"lossy compressed input {sop_uid(L_CC)}"}
    assert [line for result in told.results for line in errors(tmp_path, result)] == []


def test_an_image_that_never_was_compressed_with_loss_is_not_called_so(plain: Answer) -> None:
    assert {one.LossyImageCompression for one in plain.overlays.values()} == {"00"}
    assert [one for one in plain.parameters if "lossy" in one] == []
