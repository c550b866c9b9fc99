"""The overlay: places, words, attributes and bytes."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import cv2
import numpy as np
import pytest
from pydicom import dcmread

from dibmg_node.dicom import caption, colors, facts, outlines
from dibmg_node.dicom.caption import (
    RESEARCH_ONLY,
    SMALLEST_TEXT,
    Line,
    _font,
    _wrapped,
    caption_lines,
    caption_panel,
    color_bar,
)
from dibmg_node.dicom.encode import decompressed, encode
from dibmg_node.dicom.overlay import overlay
from dibmg_node.dicom.rendering import output_shape, render_overlay
from dibmg_node.domain.image import Mammogram, WindowRule
from dibmg_node.domain.result import OverlayStyle, Scores
from dibmg_node.domain.study import Laterality
from tests.dicom.factories_results import (
    CALIBRATED,
    L_CC,
    MODEL,
    NOW,
    POINT,
    R_CC,
    STANDARD_VIEWS,
    breast_image,
    exam,
    finding,
    header,
    heatmap,
    sop_uid,
    square,
)
from tests.factories import DrawnHeat

SOURCES = [sop_uid(view) for view in STANDARD_VIEWS]
SIZES = [(512, 400), (4000, 3000)]


def redness(picture):
    red, green, blue = (picture[..., channel].astype(np.int32) for channel in range(3))
    return 2 * red - green - blue


def middle(weights):
    """Weighted middle (column, row), in pixels from the top left corner."""
    rows, columns = np.mgrid[0 : weights.shape[0], 0 : weights.shape[1]] + 0.5
    return (columns * weights).sum() / weights.sum(), (rows * weights).sum() / weights.sum()


def is_outline(picture):
    """Where the picture is as cyan as only outlines are."""
    red, green, blue = (picture[..., channel].astype(np.int32) for channel in range(3))
    return (green - red > 60) & (blue - red > 60)


def shown(image, shape):
    """The mammogram, 0..255, as an overlay shows it where nothing is drawn."""
    small = cv2.resize(image, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.rint(small * 255).astype(np.int32)


def drawn(image, heatmap, view, result, **options):
    """The overlay of an image that is in 0..1 already."""
    mammogram = Mammogram(image, 0.0, 1.0, inverted=False, rule=WindowRule.WINDOW)
    return render_overlay(mammogram, DrawnHeat(heatmap), view, result, **options)


def planted(view, rows, columns):
    """Even tissue over 60 % of the image from the chest wall, with one hot square cell off every symmetry."""
    side = round(0.03 * max(rows, columns)) | 1
    right = view.laterality is Laterality.RIGHT
    left, top = int((0.71 if right else 0.27) * columns), int(0.67 * rows)
    image = np.zeros((rows, columns), dtype=np.float32)
    image[:, int(0.4 * columns) :] = 0.4
    if not right:
        image = image[:, ::-1].copy()
    hot = np.zeros((rows, columns), dtype=np.float32)
    hot[top : top + side, left : left + side] = 1.0
    center = (left + side / 2, top + side / 2)
    found = replace(finding(view, 1, 0.99, center), outline=square(*center, side * 3.0))
    return image, hot, center, found


def capture(view=R_CC, rows=600, columns=480, max_side=0, result=None, **changes):
    source = header(view, rows=rows, columns=columns, **changes)
    result = result or exam(finding(view))
    image = breast_image(view, rows, columns)
    pixels = drawn(image, np.zeros_like(image), view, result, max_side=max_side)
    return overlay(source, pixels, view, result, SOURCES, NOW)


@pytest.mark.parametrize("view", STANDARD_VIEWS, ids=str)
@pytest.mark.parametrize(("rows", "columns"), [(1024, 800), (2401, 1799)])
@pytest.mark.parametrize("max_side", [0, 2048, 700])
def test_a_hot_cell_is_at_its_place_to_half_an_output_pixel(view, rows, columns, max_side):
    image, hot, center, _ = planted(view, rows, columns)

    picture = drawn(image, hot, view, exam(), max_side=max_side)

    out_rows, out_columns = picture.shape[:2]
    red = np.where(shown(image, (out_rows, out_columns)) > 90, redness(picture), 0)
    column, row = middle(red)
    assert column == pytest.approx(center[0] * out_columns / columns, abs=0.5)
    assert row == pytest.approx(center[1] * out_rows / rows, abs=0.5)


@pytest.mark.parametrize("view", STANDARD_VIEWS, ids=str)
@pytest.mark.parametrize("max_side", [0, 2048, 700])
def test_an_outline_is_at_its_place_to_half_an_output_pixel(view, max_side):
    rows, columns = 2401, 1799
    image, hot, center, found = planted(view, rows, columns)
    picture = drawn(image, hot, view, exam(found), max_side=max_side)

    out_rows, out_columns = picture.shape[:2]
    scale = np.array([out_columns / columns, out_rows / rows])
    low, high = np.array(found.outline).min(axis=0) * scale, np.array(found.outline).max(axis=0) * scale
    window = np.zeros((out_rows, out_columns), dtype=bool)
    margin = 3
    top, bottom = int(low[1]) - margin, int(high[1]) + margin
    left, right = int(low[0]) - margin, int(high[0]) + margin
    window[top:bottom, left:right] = True
    drawn_rows, drawn_columns = np.nonzero(is_outline(picture) & window)

    column = (drawn_columns.min() + drawn_columns.max() + 1) / 2
    row = (drawn_rows.min() + drawn_rows.max() + 1) / 2
    assert column == pytest.approx(center[0] * scale[0], abs=0.5)
    assert row == pytest.approx(center[1] * scale[1], abs=0.5)


@pytest.mark.parametrize("air_is_left", [True, False])
def test_a_number_stands_beside_its_outline_in_the_row_it_stands_in(air_is_left):
    hourglass = [(100, 100), (500, 100), (310, 300), (500, 500), (100, 500), (290, 300), (100, 100)]
    one = replace(finding(R_CC), outline=tuple((float(x), float(y)) for x, y in hourglass))
    canvas = np.zeros((600, 600, 3), np.uint8)

    outlines.number(canvas, [one], (1.0, 1.0), 20, air_is_left)

    rows, columns = np.nonzero(canvas.any(axis=2))
    assert 280 < rows.min() <= rows.max() < 320
    expected = 290 - 20 if air_is_left else 310 + 20
    assert abs((columns.min() + columns.max()) / 2 - expected) < 4


@pytest.mark.parametrize("view", STANDARD_VIEWS, ids=str)
@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_words_and_color_bar_cover_nothing_of_the_breast(view, rows, columns):
    image = breast_image(view, rows, columns)
    result = replace(exam(finding(view)), findings=())

    picture = drawn(image, np.zeros_like(image), view, result)

    gray = shown(image, picture.shape[:2])
    changed = np.abs(picture.astype(np.int32) - gray[..., np.newaxis]).max(axis=2) > 1
    tissue = gray > 60
    assert changed.sum() > 2000, "no words were drawn"
    assert not (changed & tissue).any()


@pytest.mark.parametrize("view", STANDARD_VIEWS, ids=str)
@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_words_stand_in_the_half_away_from_the_chest_wall(view, rows, columns):
    image = breast_image(view, rows, columns)

    picture = drawn(image, np.zeros_like(image), view, exam())

    amber = (picture[..., 0] > 200) & (picture[..., 2] < 120) & (picture[..., 1] > 150)
    assert np.nonzero(amber)[0].mean() < 0.3 * picture.shape[0]
    share = np.nonzero(amber)[1].mean() / picture.shape[1]
    assert share < 0.5 if view.laterality is Laterality.RIGHT else share > 0.5


def test_low_values_leave_the_image_untouched():
    image = breast_image(R_CC, 300, 240)

    plain = colors.blend(image, np.full_like(image, 0.18), colors.heat_start(0.37))

    gray = np.rint(image * 255).astype(np.uint8)
    assert np.array_equal(plain, np.repeat(gray[..., np.newaxis], 3, axis=2))


def test_a_hotter_place_is_redder_over_the_same_tissue():
    values = np.linspace(0, 1, 101, dtype=np.float32)[np.newaxis]

    for tissue in (0.15, 0.5, 0.9):
        red = redness(colors.blend(np.full_like(values, tissue), values, 0.185))[0]
        assert (np.diff(red) >= -1).all()
        assert red[-1] > red[50] > red[25] > red[0] == 0


def test_tissue_keeps_its_contrast_under_the_hottest_color():
    dark, bright = colors.blend(
        np.array([[0.3, 0.7]], dtype=np.float32), np.ones((1, 2), dtype=np.float32), 0.2
    )[0].astype(int)

    assert (bright - dark).sum() > 100


@pytest.mark.parametrize(
    ("rows", "columns", "max_side", "expected"),
    [
        (3328, 2560, 2048, (2048, 1575)),
        (3000, 3900, 2048, (1575, 2048)),
        (4000, 3000, 2048, (2000, 1500)),
        (4084, 3328, 2048, (2042, 1664)),
        (4096, 3327, 2048, (2048, 1664)),
        (6001, 4500, 2048, (2001, 1500)),
        (512, 400, 2048, (512, 400)),
        (4000, 3000, 0, (4000, 3000)),
        (4000, 1, 100, (100, 1)),
    ],
)
def test_the_longer_side_is_at_most_max_side(rows, columns, max_side, expected):
    assert output_shape(rows, columns, max_side) == expected


@pytest.mark.parametrize("style", list(OverlayStyle))
@pytest.mark.parametrize("max_side", [99, 100, 2047, 2048])
@pytest.mark.parametrize(
    ("rows", "columns"), [(100, 2047), (3328, 4083), (4084, 3328), (4096, 1), (199, 198)]
)
def test_every_style_has_panels_of_one_width_within_max_side(rows, columns, max_side, style):
    shape = output_shape(rows, columns, max_side, style)

    assert max(shape) <= max(max_side, 2)
    assert shape[1] % style.panels == 0
    assert min(shape) >= 1


def test_the_caption_says_research_view_scores_threshold_regions_and_model():
    result = exam(finding(L_CC, 2, 0.83), finding(R_CC, 1, 0.9))

    words = [line.words for line in caption_lines(result, L_CC)]

    assert words == [
        "RESEARCH USE ONLY - NOT FOR DIAGNOSIS",
        "L-CC",
        "View score 0.830",
        "Left breast score 0.830",
        "Exam score 0.900",
        "Exam is at or above operating point 0.370 (default)",
        "Region 2: 0.830",
        "DIB-MG synthetic 0.1.0",
    ]


def test_no_letter_of_a_long_model_name_is_lost():
    model = replace(MODEL, name="a" * 80, version="2026.03.04+b0f1c2d3e4")
    words = caption_lines(exam(model=model), R_CC)[-1].words

    wrapped = _wrapped(words, _font(SMALLEST_TEXT, False), 90)

    assert "".join(wrapped).replace(" ", "") == words.replace(" ", "")
    assert len(wrapped) > 5


@pytest.mark.parametrize(("rows", "columns"), [*SIZES, (300, 200)])
def test_letters_are_never_smaller_than_legible(rows, columns):
    image = breast_image(R_CC, rows, columns)

    picture = drawn(image, np.zeros_like(image), R_CC, exam(model=replace(MODEL, version="1" * 99)))

    amber = ((picture[..., 0] > 200) & (picture[..., 2] < 120) & (picture[..., 1] > 150)).any(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], amber.astype(int), [0]])))
    heights = edges[1::2] - edges[::2]
    assert heights.min() >= 8


def test_a_caption_panel_holds_all_of_its_lines_inside_its_margins():
    panel = caption_panel([Line(RESEARCH_ONLY), Line("R-CC", is_title=True)], 20, 400)

    lit = panel.max(axis=2) > 40
    assert lit.any()
    for edge in (lit[0], lit[-1], lit[:, 0], lit[:, -1]):
        assert not edge.any()


def test_the_color_bar_marks_the_operating_point_at_its_height():
    height = 400
    for threshold in (0.1, 0.37, 0.9):
        panel = color_bar(threshold, 20, height)
        marked = (panel == colors.OUTLINE).all(axis=2).sum(axis=1)
        top = (panel.shape[0] - height) / 2
        assert marked.argmax() == pytest.approx(top + (1 - threshold) * (height - 1), abs=1.0)


def test_the_capture_says_what_it_is():
    image = capture()

    assert image.SOPClassUID == facts.SECONDARY_CAPTURE
    assert (image.Modality, image.ConversionType) == ("OT", "WSD")
    assert list(image.ImageType) == ["DERIVED", "SECONDARY", "OTHER"]
    assert (image.BurnedInAnnotation, image.RecognizableVisualFeatures) == ("YES", "NO")
    assert (image.SeriesNumber, image.InstanceNumber) == (9101, 1)
    assert list(image.PatientOrientation) == ["P", "L"]
    assert image.ImageLaterality == "R"
    assert "Laterality" not in image
    assert "ViewPosition" not in image
    assert image.ViewCodeSequence[0].CodeValue == "399162004"
    assert "DIB-MG synthetic 0.1.0" in image.DerivationDescription
    source = image.SourceImageSequence[0]
    assert source.ReferencedSOPInstanceUID == sop_uid(R_CC)
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"


def test_pixel_spacing_is_that_in_the_breast_on_the_grid_of_the_overlay():
    image = capture(rows=1000, columns=600, max_side=500)

    assert (image.Rows, image.Columns) == (500, 300)
    assert [float(value) for value in image.PixelSpacing] == pytest.approx([0.16 / 1.025, 0.2 / 1.025])
    assert image.PixelSpacingCalibrationType == "GEOMETRY"


def test_without_a_magnification_the_spacing_is_not_called_calibrated():
    image = capture(EstimatedRadiographicMagnificationFactor=None)

    assert [float(value) for value in image.PixelSpacing] == pytest.approx([0.08, 0.1])
    assert "PixelSpacingCalibrationType" not in image


def test_without_a_spacing_none_is_invented():
    assert "PixelSpacing" not in capture(ImagerPixelSpacing=None)


@pytest.mark.parametrize("imager", [[0, 0], [0.1, 0], [-0.1, 0.1]])
def test_a_spacing_that_is_none_is_not_carried_on(imager: list[float]) -> None:
    assert "PixelSpacing" not in capture(ImagerPixelSpacing=imager)

    told = capture(ImagerPixelSpacing=imager, PixelSpacing=[0.1, 0.1])

    assert [float(value) for value in told.PixelSpacing] == pytest.approx([0.1, 0.1])


def test_once_lossy_stays_lossy():
    lossy = capture(
        LossyImageCompression="01",
        LossyImageCompressionRatio="12.5",
        LossyImageCompressionMethod="ISO_10918_1",
    )

    assert lossy.LossyImageCompression == "01"
    assert float(lossy.LossyImageCompressionRatio) == 12.5
    assert lossy.LossyImageCompressionMethod == "ISO_10918_1"
    assert capture().LossyImageCompression == "00"


def test_four_views_make_four_instances_of_one_series():
    images = [capture(view) for view in STANDARD_VIEWS]

    assert len({image.SOPInstanceUID for image in images}) == 4
    assert len({image.SeriesInstanceUID for image in images}) == 1
    assert [image.InstanceNumber for image in images] == [1, 2, 3, 4]


def test_another_grid_other_weights_and_another_exam_make_other_instances():
    other = exam(finding(R_CC), model=replace(MODEL, sha256="f" * 64))
    again = exam(finding(R_CC), point=replace(POINT, version="2"))

    uids = {
        capture().SOPInstanceUID,
        capture(max_side=300).SOPInstanceUID,
        capture(result=other).SOPInstanceUID,
        capture(result=again).SOPInstanceUID,
    }

    assert len(uids) == 4


@pytest.mark.parametrize(("rows", "columns"), [(600, 480), (601, 481)])
def test_rle_loses_nothing_and_comes_back_to_the_same_uncompressed_bytes(rows, columns):
    image = capture(rows=rows, columns=columns)
    pixels = np.frombuffer(image.PixelData, np.uint8)[: rows * columns * 3].reshape(rows, columns, 3)

    compressed = encode(image, facts.RLE_LOSSLESS)

    read = dcmread(BytesIO(compressed))
    assert read.file_meta.TransferSyntaxUID == facts.RLE_LOSSLESS
    assert np.array_equal(read.pixel_array, pixels)
    assert decompressed(compressed) == encode(image)
    assert decompressed(encode(image)) == encode(image)


def test_encoding_leaves_the_data_set_as_it_was_and_repeats_its_bytes():
    image = capture()

    first = (encode(image), encode(image, facts.RLE_LOSSLESS))
    second = (encode(image), encode(image, facts.RLE_LOSSLESS))

    assert first == second
    again = capture()
    assert encode(again, facts.RLE_LOSSLESS) == first[1]


def test_a_file_says_who_wrote_it():
    meta = dcmread(BytesIO(encode(capture()))).file_meta

    assert meta.ImplementationClassUID == facts.IMPLEMENTATION_CLASS_UID
    assert meta.ImplementationVersionName == facts.IMPLEMENTATION_VERSION_NAME


def test_other_transfer_syntaxes_and_pixels_are_refused():
    with pytest.raises(ValueError, match="or RLE, not"):
        encode(capture(), facts.JPEG_2000_LOSSLESS)
    with pytest.raises(ValueError, match="expected uint8"):
        overlay(header(R_CC), np.zeros((4, 4), np.uint8), R_CC, exam(), SOURCES, NOW)


def test_a_smooth_peak_is_hottest_in_its_middle():
    image, _, _, _ = planted(L_CC, 900, 700)
    warm = heatmap(900, 700, (210.5, 600.5), 40.0)

    positive = replace(exam(), scores=Scores(0.9, {Laterality.LEFT: 0.9}, {L_CC: 0.9}))

    picture = drawn(image, warm, L_CC, positive, max_side=450)

    hottest = redness(picture[:, :200])
    row, column = np.unravel_index(hottest.argmax(), hottest.shape)
    assert column + 0.5 == pytest.approx(105.25, abs=1.5)
    assert row + 0.5 == pytest.approx(300.25, abs=1.5)


def test_heat_over_a_breast_below_the_operating_point_is_fainter_than_over_one_at_it():
    image, heatmap = np.full((400, 300), 0.4, np.float32), np.full((400, 300), 0.9, np.float32)
    results = {
        score: replace(exam(), findings=(), scores=Scores(score, {R_CC.laterality: score}, {R_CC: score}))
        for score in (0.1, 0.95)
    }

    red = {
        score: redness(drawn(image, heatmap, R_CC, result))[200:220, 200:220].mean()
        for score, result in results.items()
    }

    assert 0 < red[0.1] < 0.6 * red[0.95]


def test_a_caption_says_whose_images_the_operating_point_is_for():
    words = [line.words for line in caption_lines(exam(finding(R_CC), point=CALIBRATED), R_CC)]

    assert "Exam is at or above operating point 0.370 (default for Maker)" in words


def test_the_letters_of_one_size_are_loaded_once():
    assert caption._font(20, False) is caption._font(20, False)
