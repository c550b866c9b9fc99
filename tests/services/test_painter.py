"""What the process that draws pictures gives for an order."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dibmg_node.dicom import facts
from dibmg_node.dicom.pixels import PixelsUnreadableError
from dibmg_node.services.painter import LONGEST_SIDE, Painter
from dibmg_node.services.picture_orders import MammogramOrder
from tests.factories import R_CC, breast_pixels, mammogram, part10

SHAPE = (3300, 2640)
"""A half of it is more than a picture shows: JPEG 2000 need not be decoded whole."""


def _file(folder: Path, syntax: str, pixels: NDArray[np.uint16]) -> Path:
    path = folder / f"{syntax}.dcm"
    window = {"WindowCenter": "2000", "WindowWidth": "4000"}
    image = mammogram(R_CC, pixels=pixels, transfer_syntax_uid=syntax, **window)
    path.write_bytes(part10(image))
    return path


def _picture(painted: bytes) -> NDArray[np.int16]:
    decoded = cv2.imdecode(np.frombuffer(painted, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert decoded is not None
    return np.asarray(decoded, dtype=np.int16)


def test_a_mammogram_looks_alike_in_every_transfer_syntax(tmp_path: Path) -> None:
    pixels = cv2.resize(breast_pixels(R_CC, 330, 264), SHAPE[::-1], interpolation=cv2.INTER_LINEAR)
    orders = [
        MammogramOrder(_file(tmp_path, syntax, np.asarray(pixels, np.uint16)), 0.0, 1.0)
        for syntax in (facts.EXPLICIT_LE, facts.JPEG_2000_LOSSLESS)
    ]

    native, reduced = (_picture(Painter().paint(order)) for order in orders)

    assert native.shape == reduced.shape == (LONGEST_SIDE, round(LONGEST_SIDE * SHAPE[1] / SHAPE[0]))
    assert native.std() > 40
    assert np.abs(native - reduced).mean() < 1
    assert np.percentile(np.abs(native - reduced), 99) < 8


def test_another_window_of_a_mammogram_takes_no_file(tmp_path: Path) -> None:
    path = _file(tmp_path, facts.EXPLICIT_LE, breast_pixels(R_CC))
    painter = Painter()
    own = _picture(painter.paint(MammogramOrder(path, 0.0, 1.0)))
    path.unlink()

    brighter = _picture(painter.paint(MammogramOrder(path, -0.25, 1.0)))

    assert brighter.mean() > own.mean() + 10


def test_of_many_mammograms_the_latest_are_kept(tmp_path: Path) -> None:
    painter = Painter()
    content = _file(tmp_path, facts.EXPLICIT_LE, breast_pixels(R_CC)).read_bytes()
    paths = [tmp_path / f"{number}.dcm" for number in range(13)]
    for path in paths:
        path.write_bytes(content)
        painter.paint(MammogramOrder(path, 0.0, 1.0))
        path.unlink()

    painter.paint(MammogramOrder(paths[1], 0.0, 1.0))
    with pytest.raises(FileNotFoundError):
        painter.paint(MammogramOrder(paths[0], 0.0, 1.0))


def test_pixels_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    path = _file(tmp_path, facts.JPEG_2000_LOSSLESS, breast_pixels(R_CC))
    path.write_bytes(path.read_bytes()[:-400])

    with pytest.raises(PixelsUnreadableError):
        Painter().paint(MammogramOrder(path, 0.0, 1.0))
