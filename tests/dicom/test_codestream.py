from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibmg_node.dicom import facts
from dibmg_node.dicom.codestream import CodestreamSize, is_whole, jpeg_2000_size, jpeg_size
from tests.factories import encode_frame

PIXELS = np.arange(37 * 23, dtype=np.uint16).reshape(37, 23)
JPEG = (facts.JPEG_LOSSLESS_P14, facts.JPEG_LOSSLESS_SV1, facts.JPEG_LS_LOSSLESS)


@pytest.mark.parametrize("syntax", JPEG)
def test_a_jpeg_frame_tells_its_size(syntax: str) -> None:
    size = jpeg_size(encode_frame(PIXELS, syntax, 16, 12))

    assert (size.rows, size.columns, size.components) == (37, 23, 1)
    assert size.bits == (16 if syntax == facts.JPEG_LS_LOSSLESS else 12)


@pytest.mark.parametrize("syntax", [facts.JPEG_2000_LOSSLESS, facts.HTJ2K_LOSSLESS])
def test_a_jpeg_2000_frame_tells_its_size(syntax: str) -> None:
    size = jpeg_2000_size(encode_frame(PIXELS, syntax, 16, 12))

    assert (size.rows, size.columns, size.components) == (37, 23, 1)


def test_a_jpeg_2000_frame_in_a_file_tells_its_size() -> None:
    frame = imagecodecs.jpeg2k_encode(PIXELS, codecformat="jp2", reversible=True)

    assert jpeg_2000_size(frame) == CodestreamSize(37, 23, 1, 16)


def test_a_color_frame_tells_its_samples() -> None:
    frame = imagecodecs.jpeg8_encode(np.zeros((5, 7, 3), dtype=np.uint8))

    assert jpeg_size(frame) == CodestreamSize(5, 7, 3, 8)


@pytest.mark.parametrize("padding", [b"", b"\0", b"\0\0\0"])
def test_a_frame_is_whole_with_its_end_marker_and_padding(padding: bytes) -> None:
    frame = encode_frame(PIXELS, facts.JPEG_LS_LOSSLESS, 16, 12)

    assert is_whole(frame + padding)
    assert not is_whole(frame[:-1] + padding)


@given(st.binary(max_size=80), st.sampled_from([b"", b"\xff\xd8", b"\xff\x4f\xff\x51"]))
def test_garbage_is_a_size_or_a_value_error(garbage: bytes, start: bytes) -> None:
    for read in (jpeg_size, jpeg_2000_size):
        try:
            size = read(start + garbage)
        except ValueError:
            continue
        assert isinstance(size, CodestreamSize)
