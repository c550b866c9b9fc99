"""Images of a manifest: formats, windows, lesions, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dibmg.data.images import ImageUnreadableError, lesion_area, load_image
from dibmg.data.manifest import Circle
from dibmg_node.dicom import facts
from dibmg_node.dicom.mammogram import read_mammogram
from dibmg_node.domain.image import WindowRule
from tests.factories import R_CC, breast_pixels, mammogram, part10
from tests.model.data.factories_data import picture, row

DEEP = breast_pixels(R_CC, 200, 150)
SHALLOW = (DEEP >> 4).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["png", "pgm"])
@pytest.mark.parametrize("pixels", [DEEP, SHALLOW], ids=["16 bit", "8 bit"])
def test_lossless_pictures_give_their_stored_values(tmp_path: Path, suffix: str, pixels: np.ndarray) -> None:
    path = picture(tmp_path / f"a.{suffix}", pixels)

    loaded = load_image(row(path=path))

    assert loaded.mammogram.pixels.dtype == pixels.dtype
    assert np.array_equal(loaded.mammogram.pixels, pixels)
    assert loaded.orientation == ()


def test_pictures_of_8_bit_are_shown_in_their_full_range(tmp_path: Path) -> None:
    mammogram_of_it = load_image(row(path=picture(tmp_path / "a.jpg", SHALLOW))).mammogram

    assert (mammogram_of_it.low, mammogram_of_it.high) == (0, 255)
    assert mammogram_of_it.rule is WindowRule.WINDOW


def test_pictures_of_16_bit_are_shown_as_the_node_shows_dicom_without_a_window(tmp_path: Path) -> None:
    dicom = mammogram(R_CC, pixels=DEEP, bits=16, WindowCenter=None, WindowWidth=None)

    shown = load_image(row(path=picture(tmp_path / "a.png", DEEP))).mammogram

    expected = read_mammogram(dicom)
    assert shown.rule is WindowRule.WINDOW_ESTIMATED
    assert (shown.low, shown.high) == (expected.low, expected.high)


@pytest.mark.parametrize("name", ["a.png", "a.dcm"])
def test_the_window_of_the_row_counts_before_any_other(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("png"):
        picture(path, DEEP)
    else:
        path.write_bytes(part10(mammogram(R_CC, pixels=DEEP)))

    shown = load_image(row(path=path, window=(100 + 1 / 3, 51))).mammogram

    assert (shown.low, shown.high) == pytest.approx((74.8333333, 124.8333333))


def test_dicom_is_read_as_the_node_reads_it(tmp_path: Path) -> None:
    instance = mammogram(
        R_CC, transfer_syntax_uid=facts.JPEG_2000_LOSSLESS, PhotometricInterpretation="MONOCHROME1"
    )
    path = tmp_path / "named.png"
    path.write_bytes(part10(instance))

    loaded = load_image(row(path=path))

    assert np.array_equal(loaded.mammogram.image(), read_mammogram(instance).image())
    assert loaded.orientation == ("P", "L")


@pytest.mark.parametrize("value", ["MLO", ["R", "CC"], None])
def test_what_is_no_patient_orientation_is_unknown(tmp_path: Path, value: object) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(part10(mammogram(R_CC, PatientOrientation=value)))

    assert load_image(row(path=path)).orientation == ()


def test_a_gray_picture_that_was_saved_in_color_is_read(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", np.dstack([DEEP] * 3))

    assert np.array_equal(load_image(row(path=path)).mammogram.pixels, DEEP)


def test_a_picture_in_color_is_refused(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", np.dstack([SHALLOW, SHALLOW, SHALLOW // 2]))

    with pytest.raises(ImageUnreadableError, match=r"line 7: .*a\.png: picture is in color"):
        load_image(row(path=path, line=7))


@pytest.mark.parametrize("suffix", ["png", "pgm", "jpg", "dcm"])
@pytest.mark.parametrize("kept", [0.3, 0.97])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"a.{suffix}"
    content = part10(mammogram(R_CC)) if suffix == "dcm" else bytes(cv2.imencode(f".{suffix}", SHALLOW)[1])
    path.write_bytes(content[: int(kept * len(content))])

    with pytest.raises(ImageUnreadableError, match=rf"line 2: .*a\.{suffix}: "):
        load_image(row(path=path))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "file is empty"),
        (b"II*\0" + bytes(300), "neither DICOM"),
        (b"\x89PNG\r\n\x1a\n" + bytes(80) + b"IEND", "cannot be decoded"),
        (b"P5 2 2 255\n", "cut off"),
    ],
)
def test_a_file_that_is_no_picture_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)

    with pytest.raises(ImageUnreadableError, match=reason):
        load_image(row(path=path))


def test_a_missing_file_is_refused_with_its_line() -> None:
    with pytest.raises(ImageUnreadableError, match=r"line 9: /nowhere/a\.png: No such file"):
        load_image(row(path=Path("/nowhere/a.png"), line=9))


def test_without_a_place_there_is_no_area() -> None:
    assert lesion_area(row(), (20, 10)) is None


def test_a_circle_covers_the_pixels_whose_center_is_inside() -> None:
    area = lesion_area(row(lesion=Circle(column=3.0, row=8.0, radius=1.0)), (20, 10))

    assert area is not None
    assert np.argwhere(area).tolist() == [[7, 2], [7, 3], [8, 2], [8, 3]]


def test_the_smallest_circle_covers_the_pixel_that_its_center_is_in() -> None:
    area = lesion_area(row(lesion=Circle(column=3.01, row=8.99, radius=0.1)), (20, 10))

    assert area is not None
    assert area[8, 3]


def test_a_circle_outside_of_the_image_is_refused() -> None:
    with pytest.raises(ImageUnreadableError, match="line 2: the lesion is outside of the image of 20 rows"):
        lesion_area(row(lesion=Circle(100, 8, 3)), (20, 10))


def test_a_mask_counts_before_a_circle(tmp_path: Path) -> None:
    mask = np.zeros((20, 10), np.uint8)
    mask[4, 5] = 1
    path = picture(tmp_path / "mask.png", mask)

    area = lesion_area(row(mask=path, lesion=Circle(1, 1, 1)), (20, 10))

    assert np.array_equal(area, mask > 0)


def test_a_mask_may_be_dicom(tmp_path: Path) -> None:
    mask = np.zeros((96, 64), np.uint8)
    mask[40:50, 20:30] = 255
    path = tmp_path / "mask.dcm"
    path.write_bytes(part10(mammogram(R_CC, pixels=mask, bits=8)))

    assert np.array_equal(lesion_area(row(mask=path), (96, 64)), mask > 0)


def test_the_ringing_of_a_jpeg_mask_is_not_lesion(tmp_path: Path) -> None:
    mask = np.zeros((96, 64), np.uint8)
    cv2.circle(mask, (30, 40), 9, 255, -1)
    area = lesion_area(row(mask=picture(tmp_path / "mask.jpg", mask)), (96, 64))

    assert np.array_equal(area, mask > 0)


def test_a_mask_on_another_grid_is_refused_and_both_grids_are_named(tmp_path: Path) -> None:
    path = picture(tmp_path / "mask.png", np.ones((20, 10), np.uint8))

    with pytest.raises(
        ImageUnreadableError, match=r"20 rows x 10 columns, its image 40 x 20: expected the same"
    ):
        lesion_area(row(mask=path), (40, 20))


def test_a_mask_that_marks_nothing_is_refused(tmp_path: Path) -> None:
    path = picture(tmp_path / "mask.png", np.zeros((20, 10), np.uint8))

    with pytest.raises(ImageUnreadableError, match="marks no pixel"):
        lesion_area(row(mask=path), (20, 10))
