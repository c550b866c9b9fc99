from __future__ import annotations

from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import Tag

from dibmg_node.dicom import facts
from dibmg_node.dicom.mammogram import read_mammogram
from dibmg_node.dicom.pixels import DECODED_SYNTAXES, PixelsUnreadableError, SyntaxNotDecodedError, decode
from dibmg_node.domain.image import WindowRule
from tests.factories import R_CC, encode_frame, mammogram, part10

LOSSLESS = [s for s in DECODED_SYNTAXES if s != facts.JPEG_BASELINE]
RAW_SIGN = [s for s in LOSSLESS if s not in (facts.HTJ2K_LOSSLESS, facts.HTJ2K_LOSSLESS_RPCL, facts.HTJ2K)]
PYDICOM_DECODES = (facts.EXPLICIT_LE, facts.IMPLICIT_LE, facts.RLE_LOSSLESS)


def random_pixels(bits: int, signed: bool = False, shape: tuple[int, int] = (37, 23)) -> NDArray[Any]:
    low = -(1 << (bits - 1)) if signed else 0
    values = np.random.default_rng(bits).integers(low, low + (1 << bits), shape)
    values[0, 0], values[0, 1] = low, low + (1 << bits) - 1
    return values.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")


def read_back(dataset: FileDataset) -> FileDataset:
    """The data set as the node gets it: from a file."""
    return dcmread(BytesIO(part10(dataset)))


def ramp(**changes: object) -> FileDataset:
    """0, 1, … 4095 in 64 x 64, 12 bits."""
    return mammogram(pixels=np.arange(4096, dtype=np.uint16).reshape(64, 64), **changes)


def unwindowed(**changes: object) -> FileDataset:
    return mammogram(WindowCenter=None, WindowWidth=None, **changes)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("syntax", LOSSLESS)
def test_pixels_come_out_as_they_went_in(syntax: str, bits: int) -> None:
    pixels = random_pixels(bits)

    decoded = decode(read_back(mammogram(pixels=pixels, bits=bits, transfer_syntax_uid=syntax)))

    assert (decoded.dtype, decoded.shape) == (pixels.dtype, pixels.shape)
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("syntax", RAW_SIGN)
def test_signed_pixels_keep_their_sign(syntax: str, bits: int) -> None:
    pixels = random_pixels(bits, signed=True)

    decoded = decode(read_back(mammogram(pixels=pixels, bits=bits, transfer_syntax_uid=syntax)))

    assert decoded.dtype == pixels.dtype
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("syntax", PYDICOM_DECODES)
def test_pixels_are_those_that_pydicom_finds(syntax: str, bits: int, signed: bool) -> None:
    dataset = read_back(mammogram(pixels=random_pixels(bits, signed), bits=bits, transfer_syntax_uid=syntax))

    np.testing.assert_array_equal(decode(dataset), dataset.pixel_array)


def smooth_pixels(bits: int, signed: bool, shape: tuple[int, int]) -> NDArray[Any]:
    """All of a range, slowly: what halving and averaging agree on."""
    low, rows, columns = -(1 << (bits - 1)) if signed else 0, *shape
    waves = np.sin(np.linspace(0, 9, rows))[:, None] * np.cos(np.linspace(0, 7, columns))
    values = np.rint(low + (waves + 1) / 2 * ((1 << bits) - 1))
    return values.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("shape", [(400, 320), (403, 303)])
@pytest.mark.parametrize(
    ("syntax", "signed"),
    [(facts.JPEG_2000_LOSSLESS, False), (facts.JPEG_2000_LOSSLESS, True), (facts.HTJ2K_LOSSLESS, False)],
)
def test_jpeg_2000_is_decoded_to_the_smallest_resolution_that_will_do(
    syntax: str, shape: tuple[int, int], bits: int, signed: bool
) -> None:
    pixels = smooth_pixels(bits, signed, shape)
    dataset = read_back(mammogram(pixels=pixels, bits=bits, transfer_syntax_uid=syntax))

    half, quarter = -(-shape[0] // 2), -(-shape[0] // 4)
    for least, halvings in ((0, 0), (half + 1, 0), (half, 1), (quarter + 1, 1), (quarter, 2)):
        decoded = decode(dataset, least)

        step = 2**halvings
        assert decoded.shape == (-(-shape[0] // step), -(-shape[1] // step))
        assert decoded.dtype == pixels.dtype
        rows, columns = (side // step for side in shape)
        squares = pixels[: rows * step, : columns * step].astype(float).reshape(rows, step, columns, step)
        away = np.abs(decoded[:rows, :columns] - squares.mean(axis=(1, 3)))
        assert away.max() <= (0 if halvings == 0 else 0.05 * 2**bits)


def test_no_resolution_is_smaller_than_what_the_codestream_has() -> None:
    pixels = smooth_pixels(12, False, (64, 64))
    frame = imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True, resolutions=4)
    dataset = mammogram(pixels=pixels, transfer_syntax_uid=facts.JPEG_2000_LOSSLESS)
    dataset.PixelData = encapsulate([bytes(frame)])

    assert [decode(dataset, least).shape[0] for least in (65, 64, 33, 32, 2, 1)] == [64, 64, 64, 32, 8, 8]


def test_what_lacks_the_resolution_that_would_do_is_decoded_to_the_next() -> None:
    pixels = smooth_pixels(12, False, (400, 320))
    dataset = mammogram(pixels=pixels, transfer_syntax_uid=facts.JPEG_2000_LOSSLESS)
    for resolutions, expected in ((1, (400, 320)), (2, (200, 160)), (3, (100, 80))):
        frame = imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True, resolutions=resolutions)
        dataset.PixelData = encapsulate([bytes(frame)])

        assert decode(dataset, 100).shape == expected


def test_a_narrow_codestream_in_a_wide_header_is_decoded_smaller_too() -> None:
    pixels = smooth_pixels(8, False, (400, 320))
    dataset = mammogram(pixels=pixels.astype(np.uint16), transfer_syntax_uid=facts.JPEG_2000_LOSSLESS)
    dataset.PixelData = encapsulate([encode_frame(pixels, facts.JPEG_2000_LOSSLESS, 8, 8)])

    decoded = decode(dataset, 200)

    assert (decoded.shape, decoded.dtype) == ((200, 160), np.uint16)
    assert np.abs(decoded.astype(float) - pixels[::2, ::2]).max() < 13


def test_a_jp2_file_is_decoded_smaller_where_it_tells_pillow_of_all_of_its_bits() -> None:
    for bits in (8, 9, 12, 16):
        pixels = smooth_pixels(bits, False, (400, 320))
        frame = imagecodecs.jpeg2k_encode(pixels, codecformat="jp2", reversible=True, bitspersample=bits)
        dataset = mammogram(pixels=pixels, bits=bits, transfer_syntax_uid=facts.JPEG_2000_LOSSLESS)
        dataset.PixelData = encapsulate([bytes(frame)])

        decoded = decode(dataset, 200)

        whole = decoded.shape == (400, 320)
        assert whole == (bits == 9)  # a sample of 9 bits is one of 8 there
        step = 1 if whole else 2
        assert np.abs(decoded.astype(float) - pixels[::step, ::step]).max() <= 0.05 * 2**bits


def test_an_image_that_begins_beside_the_origin_of_its_grid_is_decoded_whole() -> None:
    pixels = smooth_pixels(12, False, (401, 321))
    dataset = mammogram(pixels=pixels, transfer_syntax_uid=facts.JPEG_2000_LOSSLESS)
    frame = bytearray(encode_frame(smooth_pixels(12, False, (402, 322)), facts.JPEG_2000_LOSSLESS, 16, 12))
    frame[16:24] = (1).to_bytes(4, "big") * 2
    dataset.PixelData = encapsulate([bytes(frame)])

    assert decode(dataset, 200).shape == (401, 321)


@pytest.mark.parametrize("least_side", [0, 200])
def test_bits_above_the_stored_ones_of_a_lossless_codestream_are_cut_off(
    least_side: int,
) -> None:
    pixels = smooth_pixels(12, False, (400, 320))
    with_overlay = pixels.copy()
    with_overlay[50:90, 50:90] |= np.uint16(0x8000)
    dataset = mammogram(pixels=pixels, transfer_syntax_uid=facts.JPEG_2000_LOSSLESS)
    dataset.PixelData = encapsulate([encode_frame(with_overlay, facts.JPEG_2000_LOSSLESS, 16, 16)])

    np.testing.assert_array_equal(decode(dataset, least_side), pixels)


def test_an_image_without_a_window_is_read_whole() -> None:
    pixels = smooth_pixels(12, False, (400, 320))
    bare = unwindowed(pixels=pixels, transfer_syntax_uid=facts.JPEG_2000_LOSSLESS)

    one, whole = read_mammogram(read_back(bare), 100), read_mammogram(read_back(bare))

    assert one.pixels.shape == (400, 320)
    assert (one.low, one.high, one.rule) == (whole.low, whole.high, WindowRule.WINDOW_ESTIMATED)


def test_a_quarter_that_pillow_rounds_otherwise_is_passed_over() -> None:
    pixels = smooth_pixels(12, False, (401, 301))

    assert decode(mammogram(pixels=pixels, transfer_syntax_uid=facts.JPEG_2000_LOSSLESS), 101).shape == (
        201,
        151,
    )


@pytest.mark.parametrize("least_side", [0, 100])
def test_values_beyond_the_stored_bits_of_a_signed_codestream_are_the_ends(least_side: int) -> None:
    pixels = np.full((400, 320), -2048, np.int16)
    pixels[100:300, 80:240] = 2047
    frame = bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", level=55, bitspersample=16))
    dataset = mammogram(pixels=pixels, transfer_syntax_uid=facts.JPEG_2000)
    dataset.PixelData = encapsulate([frame])

    decoded = decode(dataset, least_side)

    assert imagecodecs.jpeg2k_decode(frame).max() > 2047
    assert (decoded.min(), decoded.max()) == (-2048, 2047)


@pytest.mark.parametrize("least_side", [0, 100])
def test_values_beyond_the_stored_bits_of_a_wider_codestream_are_the_highest(least_side: int) -> None:
    pixels = np.zeros((400, 320), np.uint16)
    pixels[100:300, 80:240] = 4095
    frame = bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", level=55, bitspersample=16))
    assert imagecodecs.jpeg2k_decode(frame).max() > 4095
    dataset = mammogram(pixels=pixels, transfer_syntax_uid=facts.JPEG_2000)
    dataset.PixelData = encapsulate([frame])

    decoded = decode(dataset, least_side)

    step = 400 // decoded.shape[0]
    assert decoded.max() == 4095
    assert decoded[120 // step : 280 // step, 100 // step : 220 // step].min() > 3500


def test_an_image_that_was_decoded_smaller_knows_its_stored_size() -> None:
    pixels = smooth_pixels(12, False, (400, 320))
    dataset = read_back(mammogram(pixels=pixels, transfer_syntax_uid=facts.JPEG_2000_LOSSLESS))

    one = read_mammogram(dataset, 150)

    assert (one.shape, one.pixels.shape) == ((400, 320), (200, 160))
    assert (one.low, one.high) == (read_mammogram(dataset).low, read_mammogram(dataset).high)


def test_jpeg_baseline_comes_out_as_its_codec_decodes_it() -> None:
    pixels = random_pixels(8)
    frame = encode_frame(pixels, facts.JPEG_BASELINE, 8, 8)

    decoded = decode(read_back(mammogram(pixels=pixels, bits=8, transfer_syntax_uid=facts.JPEG_BASELINE)))

    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, imagecodecs.jpeg8_decode(frame))


@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (17, 1), (33, 31)])
@pytest.mark.parametrize("syntax", [s for s in LOSSLESS if s not in (facts.HTJ2K, facts.HTJ2K_LOSSLESS_RPCL)])
def test_odd_sizes_come_out_as_they_went_in(syntax: str, shape: tuple[int, int]) -> None:
    for bits in (8, 12):
        pixels = np.arange(shape[0] * shape[1]).reshape(shape).astype(np.uint8 if bits == 8 else np.uint16)
        pixels = pixels % 200

        decoded = decode(read_back(mammogram(pixels=pixels, bits=bits, transfer_syntax_uid=syntax)))

        np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", PYDICOM_DECODES)
def test_stored_bits_are_cut_out_from_under_a_higher_high_bit(syntax: str, signed: bool) -> None:
    pixels = random_pixels(12, signed)
    raised = (pixels.astype(np.int32) << 4).astype(np.uint16) | np.uint16(0x0005)
    dataset = mammogram(pixels=raised, bits=16, transfer_syntax_uid=syntax)
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 15, int(signed)

    np.testing.assert_array_equal(decode(read_back(dataset)), pixels)


def test_bits_above_the_stored_ones_are_no_part_of_the_pixels() -> None:
    pixels = random_pixels(12)
    dataset = mammogram(pixels=pixels | np.uint16(0xA000), bits=16)
    dataset.BitsStored, dataset.HighBit = 12, 11

    np.testing.assert_array_equal(decode(read_back(dataset)), pixels)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "syntax", [facts.JPEG_LOSSLESS_SV1, facts.JPEG_LS_LOSSLESS, facts.JPEG_2000_LOSSLESS, facts.JPEG_BASELINE]
)
def test_a_narrow_codestream_in_a_wide_header_is_read(syntax: str, signed: bool) -> None:
    pixels = random_pixels(8) // 2
    dataset = mammogram(pixels=pixels.astype(np.uint16), bits=12)
    dataset.PixelData = encapsulate([encode_frame(pixels, syntax, 8, 8)])
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelRepresentation = int(signed)

    decoded = decode(dataset)

    by_codestream = syntax == facts.JPEG_2000_LOSSLESS
    assert decoded.dtype == (np.int16 if signed and not by_codestream else np.uint16)
    assert np.abs(decoded.astype(int) - pixels).max() <= (12 if syntax == facts.JPEG_BASELINE else 0)


@pytest.mark.parametrize(
    "syntax", [facts.JPEG_LOSSLESS_SV1, facts.JPEG_LS_LOSSLESS, facts.JPEG_2000_LOSSLESS]
)
def test_a_wide_codestream_in_a_narrow_header_contradicts_it(syntax: str) -> None:
    pixels = random_pixels(12)
    dataset = mammogram(pixels=(pixels >> 4).astype(np.uint8), bits=8)
    dataset.PixelData = encapsulate([encode_frame(pixels, syntax, 16, 12)])
    dataset.file_meta.TransferSyntaxUID = syntax

    with pytest.raises(PixelsUnreadableError, match=r"1[26] bits a sample, the header allocates 8"):
        decode(dataset)


def test_jpeg_extended_is_a_syntax_that_is_not_decoded() -> None:
    dataset = mammogram(transfer_syntax_uid=facts.JPEG_EXTENDED)

    with pytest.raises(SyntaxNotDecodedError, match=r"4\.51 is not decoded"):
        read_mammogram(dataset)


def test_a_data_set_without_a_transfer_syntax_is_not_decoded() -> None:
    dataset = mammogram()
    del dataset.file_meta.TransferSyntaxUID
    bare = Dataset()
    bare.update(dataset)

    for one in (dataset, bare):
        with pytest.raises(SyntaxNotDecodedError, match="missing"):
            read_mammogram(one)


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.9, 0.99])
@pytest.mark.parametrize("syntax", DECODED_SYNTAXES)
def test_pixels_that_are_cut_off_are_unreadable(syntax: str, kept: float) -> None:
    bits = 8 if syntax == facts.JPEG_BASELINE else 12
    pixels = random_pixels(bits)
    dataset = mammogram(pixels=pixels, bits=bits)
    if syntax in (facts.EXPLICIT_LE, facts.IMPLICIT_LE):
        dataset.PixelData = dataset.PixelData[: int(kept * len(dataset.PixelData)) // 2 * 2]
    else:
        frame = encode_frame(pixels, syntax, dataset.BitsAllocated, bits)
        dataset.PixelData = encapsulate([frame[: int(kept * len(frame))]])
    dataset.file_meta.TransferSyntaxUID = syntax

    for least_side in (0, 10):
        with pytest.raises(PixelsUnreadableError):
            read_mammogram(dataset, least_side)


@pytest.mark.parametrize("syntax", [s for s in DECODED_SYNTAXES if s not in PYDICOM_DECODES])
def test_a_codestream_of_another_size_contradicts_its_header_before_it_is_decoded(syntax: str) -> None:
    bits = 8 if syntax == facts.JPEG_BASELINE else 12
    dataset = mammogram(pixels=random_pixels(bits), bits=bits, transfer_syntax_uid=syntax)
    dataset.Rows = 38

    with pytest.raises(PixelsUnreadableError, match="37 rows x 23 columns of 1 samples"):
        decode(dataset)


def test_a_codestream_that_claims_a_giant_grid_is_not_decoded() -> None:
    frame = bytearray(encode_frame(random_pixels(12), facts.JPEG_2000_LOSSLESS, 16, 12))
    frame[8:16] = (60000).to_bytes(4, "big") * 2
    dataset = mammogram(pixels=random_pixels(12), transfer_syntax_uid=facts.JPEG_2000_LOSSLESS)
    dataset.PixelData = encapsulate([bytes(frame)])

    with pytest.raises(PixelsUnreadableError, match="60000 rows x 60000 columns"):
        decode(dataset)


def test_a_color_codestream_contradicts_its_header() -> None:
    frame = imagecodecs.jpeg8_encode(np.zeros((37, 23, 3), dtype=np.uint8))
    dataset = mammogram(pixels=random_pixels(8), bits=8, transfer_syntax_uid=facts.JPEG_BASELINE)
    dataset.PixelData = encapsulate([bytes(frame)])

    with pytest.raises(PixelsUnreadableError, match="of 3 samples"):
        decode(dataset)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"PixelData": None}, "no pixel data"),
        ({"PixelData": b""}, "no pixel data"),
        ({"Rows": None}, "missing or not a number"),
        ({"Columns": None}, "missing or not a number"),
        ({"BitsAllocated": None}, "missing or not a number"),
        ({"Rows": 0}, "0 rows"),
        ({"Rows": 65535, "Columns": 65535}, "65535 rows x 65535 columns"),
        ({"SamplesPerPixel": 3}, "3 samples"),
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"BitsAllocated": 32}, "12 of 32 bits"),
        ({"BitsAllocated": 1}, "12 of 1 bits"),
        ({"BitsStored": 0}, "0 of 16 bits"),
        ({"BitsStored": 17}, "17 of 16 bits"),
        ({"Columns": 65}, "pixel data has 12288 bytes, expected 12480"),
    ],
)
def test_a_header_that_contradicts_its_pixels_is_unreadable_and_says_how(
    changes: dict[str, object], words: str
) -> None:
    with pytest.raises(PixelsUnreadableError, match=words):
        read_mammogram(mammogram(**changes))


@pytest.mark.parametrize("name", ["BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel"])
def test_an_empty_number_of_the_pixel_module_is_unreadable_and_no_crash(name: str) -> None:
    dataset = mammogram()
    dataset[name].value = None

    with pytest.raises(PixelsUnreadableError):
        read_mammogram(dataset)


@pytest.mark.parametrize(
    "name", ["Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"]
)
def test_a_number_of_the_pixel_module_with_a_damaged_vr_is_unreadable_and_no_crash(name: str) -> None:
    tag = Tag(name)
    start = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
    damaged = part10(mammogram()).replace(start + b"US", start + b"U\x12")

    with pytest.raises(PixelsUnreadableError):
        read_mammogram(dcmread(BytesIO(damaged)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    syntax=st.sampled_from(
        [s for s in DECODED_SYNTAXES if s not in (facts.HTJ2K, facts.HTJ2K_LOSSLESS_RPCL)]
    ),
    places=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8),
    least_side=st.sampled_from([0, 10]),
)
def test_corrupt_pixels_are_read_or_unreadable_and_never_crash(
    syntax: str, places: list[tuple[float, int]], least_side: int
) -> None:
    bits = 8 if syntax == facts.JPEG_BASELINE else 12
    dataset = mammogram(pixels=random_pixels(bits), bits=bits, transfer_syntax_uid=syntax)
    content = bytearray(dataset.PixelData)
    for place, value in places:
        content[int(place * len(content))] = value
    dataset.PixelData = bytes(content)

    try:
        read = read_mammogram(dataset, least_side)
    except PixelsUnreadableError:
        return
    assert read.shape == (37, 23)


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=300), st.sampled_from(DECODED_SYNTAXES))
def test_garbage_for_pixels_is_unreadable(garbage: bytes, syntax: str) -> None:
    dataset = mammogram()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = garbage

    with pytest.raises(PixelsUnreadableError):
        read_mammogram(dataset)


@pytest.mark.parametrize(
    ("changes", "low", "high"),
    [
        ({"WindowCenter": "2048", "WindowWidth": "4096"}, 0.0, 4095.0),
        ({"WindowCenter": "100", "WindowWidth": "1"}, 99.5, 100.5),
        ({"WindowCenter": "2048", "WindowWidth": "4096", "VOILUTFunction": "LINEAR_EXACT"}, 0.0, 4096.0),
        ({"WindowCenter": "2048", "WindowWidth": "0.5", "VOILUTFunction": "LINEAR_EXACT"}, 2047.75, 2048.25),
        ({"WindowCenter": "2048", "WindowWidth": "1000", "VOILUTFunction": "SIGMOID"}, 1548.0, 2548.0),
        ({"WindowCenter": ["2000", "9"], "WindowWidth": ["101", "9"]}, 1949.5, 2049.5),
        ({"WindowCenter": "50", "WindowWidth": "101", "RescaleIntercept": "-1000"}, 999.5, 1099.5),
        ({"WindowCenter": "500.5", "WindowWidth": "1001", "RescaleSlope": "2"}, 0.0, 500.0),
        ({"WindowCenter": "-50", "WindowWidth": "101"}, -100.5, -0.5),
    ],
)
def test_the_first_window_is_taken_as_the_standard_says(
    changes: dict[str, object], low: float, high: float
) -> None:
    one = read_mammogram(read_back(ramp(**changes)))

    assert one.rule is WindowRule.WINDOW
    assert (one.low, one.high) == pytest.approx((low, high))


@pytest.mark.parametrize(
    "changes",
    [
        {"WindowWidth": None},
        {"WindowCenter": None},
        {"WindowWidth": "0"},
        {"WindowWidth": "-100"},
        {"WindowWidth": "0.5"},
        {"WindowCenter": "", "WindowWidth": ""},
    ],
)
def test_a_window_that_is_none_is_estimated(changes: dict[str, object]) -> None:
    assert read_mammogram(read_back(ramp(**changes))).rule is WindowRule.WINDOW_ESTIMATED


@pytest.mark.parametrize("window", [{}, {"WindowCenter": None, "WindowWidth": None}])
@pytest.mark.parametrize("shape", ["IDENTITY", "INVERSE"])
def test_a_falling_modality_lut_turns_an_image(shape: str, window: dict[str, object]) -> None:
    pixels = np.asarray(mammogram(R_CC).pixel_array)
    rising = read_mammogram(mammogram(R_CC, PresentationLUTShape=shape, **window))
    falling = read_mammogram(
        mammogram(
            R_CC,
            pixels=4095 - pixels,
            RescaleSlope="-1",
            RescaleIntercept="4095",
            PresentationLUTShape=shape,
            **window,
        )
    )

    assert (falling.inverted, falling.rule) == (not rising.inverted, rising.rule)
    assert falling.image() == pytest.approx(rising.image(), abs=1e-5)


def test_a_window_of_junk_is_no_window() -> None:
    dataset = ramp()
    content = part10(dataset).replace(b"\x28\x00\x50\x10DS\x04\x002048", b"\x28\x00\x50\x10DS\x04\x00junk")
    from io import BytesIO

    from pydicom import dcmread

    one = read_mammogram(dcmread(BytesIO(content)))

    assert one.rule is WindowRule.WINDOW_ESTIMATED


@pytest.mark.parametrize(
    ("center", "width"), [("nan", "100"), ("100", "nan"), ("inf", "100"), ("1", "1e308")]
)
def test_every_window_gives_an_image_of_finite_values(center: str, width: str) -> None:
    dataset = ramp()
    for name, value in (("WindowCenter", center), ("WindowWidth", width)):
        del dataset[name]
        setattr(dataset, name, float(value))

    image = read_mammogram(dataset).image()

    assert np.isfinite(image).all()


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME1", None, True),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME2", None, False),
    ],
)
def test_images_whose_low_values_are_bright_are_turned(
    photometric: str, shape: str | None, inverted: bool
) -> None:
    one = read_mammogram(ramp(PhotometricInterpretation=photometric, PresentationLUTShape=shape))

    image = one.image()
    assert one.inverted is inverted
    assert (image[0, 0], image[-1, -1]) == ((1.0, 0.0) if inverted else (0.0, 1.0))


def voi_lut(entries: int, first: int, bits: int, values: object) -> DicomSequence:
    item = Dataset()
    item.add_new("LUTDescriptor", "US" if first >= 0 else "SS", [entries, first, bits])
    item.add_new("LUTData", "OW" if isinstance(values, bytes) else "US", values)
    return DicomSequence([item])


def test_a_voi_lut_maps_stored_values_where_there_is_no_window() -> None:
    table = (np.arange(4096)[::-1] // 4).astype("<u2")
    dataset = ramp(WindowCenter=None, WindowWidth=None, VOILUTSequence=voi_lut(4096, 0, 10, table.tobytes()))

    one = read_mammogram(dataset)

    assert (one.rule, one.low, one.high) == (WindowRule.VOI_LUT, 0.0, 1023.0)
    np.testing.assert_array_equal(one.pixels.reshape(-1), table)
    assert one.image()[0, 0] == pytest.approx(1.0)


def test_a_window_goes_before_a_voi_lut() -> None:
    table = np.zeros(4096, dtype="<u2").tobytes()

    assert read_mammogram(ramp(VOILUTSequence=voi_lut(4096, 0, 12, table))).rule is WindowRule.WINDOW


def test_values_beyond_a_voi_lut_get_its_ends() -> None:
    lut = voi_lut(3, 100, 12, [7, 8, 9])

    pixels = read_mammogram(ramp(WindowCenter=None, WindowWidth=None, VOILUTSequence=lut)).pixels.reshape(-1)

    assert [int(pixels[i]) for i in (0, 100, 101, 102, 4000)] == [7, 7, 8, 9, 9]


def test_the_first_value_of_a_voi_lut_may_be_negative() -> None:
    pixels = np.arange(-8, 8, dtype=np.int16).reshape(4, 4)
    lut = voi_lut(16, 65536 - 8, 12, list(range(16)))

    one = read_mammogram(mammogram(pixels=pixels, WindowCenter=None, WindowWidth=None, VOILUTSequence=lut))

    assert one.pixels.reshape(-1).tolist() == list(range(16))


def test_a_voi_lut_of_no_entries_has_65536() -> None:
    table = np.arange(65536).astype("<u2")
    pixels = random_pixels(16)
    lut = voi_lut(0, 0, 16, table.tobytes())

    one = read_mammogram(
        mammogram(pixels=pixels, bits=16, WindowCenter=None, WindowWidth=None, VOILUTSequence=lut)
    )

    np.testing.assert_array_equal(one.pixels, pixels)
    assert one.high == 65535


def test_a_voi_lut_follows_the_modality_lut() -> None:
    lut = voi_lut(3, 200, 12, [7, 8, 9])
    dataset = ramp(
        WindowCenter=None, WindowWidth=None, VOILUTSequence=lut, RescaleSlope="2", RescaleIntercept="-1"
    )

    pixels = read_mammogram(dataset).pixels.reshape(-1)

    assert [int(pixels[i]) for i in (100, 101)] == [7, 8]


def test_a_voi_lut_that_is_fuller_than_it_states_is_shown_whole() -> None:
    lut = voi_lut(4, 0, 8, [0, 100, 1000, 4000])

    assert read_mammogram(ramp(WindowCenter=None, WindowWidth=None, VOILUTSequence=lut)).high == 4095


def test_a_voi_lut_that_states_more_bits_than_it_fills_is_not_shown_dark() -> None:
    lut = voi_lut(4, 0, 16, [0, 100, 1000, 4000])

    assert read_mammogram(ramp(WindowCenter=None, WindowWidth=None, VOILUTSequence=lut)).high == 4095


@pytest.mark.parametrize("as_words", [False, True])
def test_a_voi_lut_of_8_bits_has_two_entries_a_word(as_words: bool) -> None:
    table = np.minimum(np.arange(4096) // 8, 255).astype(np.uint8)
    values = table.view("<u2").tolist() if as_words else table.tobytes()
    dataset = ramp(WindowCenter=None, WindowWidth=None, VOILUTSequence=voi_lut(4096, 0, 8, values))

    one = read_mammogram(dataset)

    assert one.high == 255
    np.testing.assert_array_equal(one.pixels.reshape(-1), table)


def test_a_voi_lut_of_8_bits_may_have_one_entry_a_word() -> None:
    table = np.minimum(np.arange(4096) // 8, 255).astype("<u2")
    dataset = ramp(WindowCenter=None, WindowWidth=None, VOILUTSequence=voi_lut(4096, 0, 8, table.tobytes()))

    np.testing.assert_array_equal(read_mammogram(dataset).pixels.reshape(-1), table)


def _broken_luts() -> list[DicomSequence]:
    empty, short_descriptor = Dataset(), Dataset()
    short_descriptor.add_new("LUTDescriptor", "US", [4, 0])
    negative = voi_lut(4, 0, 12, [0, 1, 2, 3])
    negative[0].add_new("LUTData", "SS", [-1, -2, -3, -4])
    return [
        DicomSequence([empty]),
        DicomSequence([short_descriptor]),
        voi_lut(4, 0, 12, [1, 2]),
        voi_lut(4, 0, 12, b"\0\0\0"),
        voi_lut(4, 0, 12, 5),
    ]


@pytest.mark.parametrize("number", range(5))
def test_a_broken_voi_lut_is_unreadable_and_no_crash(number: int) -> None:
    dataset = ramp(WindowCenter=None, WindowWidth=None, VOILUTSequence=_broken_luts()[number])

    with pytest.raises(PixelsUnreadableError, match="VOI LUT"):
        read_mammogram(dataset)


def test_an_estimated_window_spans_the_breast_and_not_the_air() -> None:
    dataset = unwindowed()

    one = read_mammogram(dataset)

    assert one.rule is WindowRule.WINDOW_ESTIMATED
    inside = one.pixels[one.pixels > 1000]
    assert inside.min() <= one.low < np.percentile(inside, 3)
    assert np.percentile(inside, 99) < one.high < np.percentile(inside, 99.9)


def test_an_image_whose_low_values_are_bright_gets_the_same_estimated_window() -> None:
    pixels = np.asarray(mammogram(R_CC).pixel_array)

    plain = read_mammogram(unwindowed(pixels=pixels))
    turned = read_mammogram(unwindowed(pixels=4095 - pixels, PhotometricInterpretation="MONOCHROME1"))

    assert (turned.low, turned.high) == pytest.approx((4095 - plain.high, 4095 - plain.low))
    assert turned.image() == pytest.approx(plain.image(), abs=1e-5)


def test_an_image_of_one_value_has_an_estimated_window_too() -> None:
    one = read_mammogram(unwindowed(pixels=np.full((64, 64), 7, dtype=np.uint16)))

    assert one.high > one.low
    assert np.isfinite(one.image()).all()


def test_pixels_of_a_mammogram_are_looked_at_and_not_changed() -> None:
    dataset = mammogram(R_CC)
    before = bytes(dataset.PixelData)

    read_mammogram(dataset).image()

    assert bytes(dataset.PixelData) == before
