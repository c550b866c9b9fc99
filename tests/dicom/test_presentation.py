"""The presentation state: outlines, words, windows, and what an independent program renders with it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dibmg_node.dicom import facts
from dibmg_node.dicom.encode import encode
from dibmg_node.dicom.identity import tracking_identifier, tracking_uid
from dibmg_node.dicom.mammogram import read_mammogram
from dibmg_node.dicom.presentation import OUTLINES, WORDS, presentation_states
from dibmg_node.domain.image import Mammogram, WindowRule
from dibmg_node.domain.study import STANDARD_VIEWS
from tests.dicom.factories_results import (
    L_CC,
    L_MLO,
    MODEL,
    NOW,
    POINT,
    R_CC,
    R_MLO,
    exam,
    finding,
    header,
    images,
    sop_uid,
)
from tests.factories import mammogram, part10
from tests.programs import find_program

FINDINGS = (finding(R_CC), finding(R_CC, 2, 0.61, (120.25, 300.0)), finding(L_CC, 3, 0.4))
SHOWN = Mammogram(np.zeros((400, 320), np.uint16), 100.0, 3000.0, False, WindowRule.WINDOW)


def states_of(*findings, views=STANDARD_VIEWS, sources=None, mammograms=None, **changes):
    sources = sources or images(views)
    mammograms = mammograms or dict.fromkeys(views, SHOWN)
    return presentation_states(sources, mammograms, replace(exam(*findings, views=views), **changes), NOW)


def of_image(items, view):
    """Items of a sequence that are for one image."""
    uid = sop_uid(view)
    return [one for one in items if one.ReferencedImageSequence[0].ReferencedSOPInstanceUID == uid]


def layer(state, view, name):
    return [one for one in of_image(state.GraphicAnnotationSequence, view) if one.GraphicLayer == name]


def test_an_exam_is_one_state_for_all_of_its_images():
    (state,) = states_of(*FINDINGS)

    assert (state.SOPClassUID, state.Modality) == (facts.GRAYSCALE_PRESENTATION_STATE, "PR")
    assert (state.SeriesNumber, state.ContentQualification) == (9201, "RESEARCH")
    (series,) = state.ReferencedSeriesSequence
    named = {one.ReferencedSOPInstanceUID for one in series.ReferencedImageSequence}
    assert named == {sop_uid(view) for view in STANDARD_VIEWS}
    assert (state.PresentationCreationDate, state.PresentationCreationTime) == ("20260304", "050607")


def test_outlines_are_those_of_the_findings_with_their_tracking():
    (state,) = states_of(*FINDINGS)

    (annotation,) = layer(state, R_CC, OUTLINES)
    for outline, one in zip(annotation.GraphicObjectSequence, FINDINGS, strict=False):
        assert (outline.GraphicType, outline.GraphicAnnotationUnits) == ("POLYLINE", "PIXEL")
        assert outline.NumberOfGraphicPoints == len(one.outline)
        expected = [coordinate for point in one.outline for coordinate in point]
        assert list(outline.GraphicData) == pytest.approx(expected)
        assert outline.TrackingUID == tracking_uid(one, MODEL, POINT)
        assert outline.TrackingID == tracking_identifier(one)
    assert len(annotation.GraphicObjectSequence) == 2
    assert [one.UnformattedTextValue for one in annotation.TextObjectSequence] == ["1: 0.830", "2: 0.610"]
    assert layer(state, L_MLO, OUTLINES) == []


def test_every_image_has_words_that_say_that_it_is_research():
    (state,) = states_of(finding(R_CC))

    for view in STANDARD_VIEWS:
        (annotation,) = layer(state, view, WORDS)
        lines = annotation.TextObjectSequence[0].UnformattedTextValue.split("\r\n")
        assert lines[:2] == ["RESEARCH USE ONLY - NOT FOR DIAGNOSIS", str(view)]
    assert "Breast below operating point: no region marked" in lines


def test_an_exam_without_findings_has_words_and_windows_but_no_outline():
    (state,) = states_of()

    assert {one.GraphicLayer for one in state.GraphicAnnotationSequence} == {WORDS}
    assert len(state.SoftcopyVOILUTSequence) == 4


def test_every_layer_that_is_used_is_described():
    (state,) = states_of(*FINDINGS)

    used = {one.GraphicLayer for one in state.GraphicAnnotationSequence}
    assert {one.GraphicLayer for one in state.GraphicLayerSequence} == used == {OUTLINES, WORDS}


def test_each_image_is_shown_whole_and_at_its_own_spacing():
    wide = {**images(), L_CC: header(L_CC, rows=500, columns=300, ImagerPixelSpacing=None)}

    (state,) = states_of(sources=wide)

    (area,) = of_image(state.DisplayedAreaSelectionSequence, R_CC)
    assert (area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner) == (
        [1, 1],
        [320, 400],
    )
    assert [float(one) for one in area.PresentationPixelSpacing] == pytest.approx([0.08 / 1.025, 0.1 / 1.025])
    (bare,) = of_image(state.DisplayedAreaSelectionSequence, L_CC)
    assert bare.DisplayedAreaBottomRightHandCorner == [300, 500]
    assert (bare.PresentationPixelAspectRatio, "PresentationPixelSpacing" in bare) == ([1, 1], False)


def test_a_window_is_carried_as_the_header_has_it():
    own = replace(SHOWN, low=1047.5 - 1999 / 2, high=1047.5 + 1999 / 2)

    (state,) = states_of(mammograms={**dict.fromkeys(STANDARD_VIEWS, SHOWN), L_CC: own})

    (item,) = of_image(state.SoftcopyVOILUTSequence, L_CC)
    assert (item.WindowCenter, item.WindowWidth) == (1048, 2000)
    assert state.PresentationLUTShape == "IDENTITY"
    assert "RescaleSlope" not in state


def test_images_of_two_polarities_are_two_states_that_share_none():
    mixed = {**dict.fromkeys(STANDARD_VIEWS, SHOWN), R_CC: replace(SHOWN, inverted=True)}

    states = states_of(*FINDINGS, mammograms=mixed)

    assert [state.PresentationLUTShape for state in states] == ["INVERSE", "IDENTITY"]
    named = [
        [one.ReferencedSOPInstanceUID for one in state.ReferencedSeriesSequence[0].ReferencedImageSequence]
        for state in states
    ]
    assert named == [[sop_uid(R_CC)], [sop_uid(view) for view in (L_CC, R_MLO, L_MLO)]]
    assert len({state.SOPInstanceUID for state in states}) == 2
    assert len({state.SeriesInstanceUID for state in states}) == 1
    assert [state.Laterality for state in states] == ["R", ""]


def test_other_images_and_other_weights_are_other_instances():
    (state,), (fewer,) = states_of(), states_of(views=(R_CC, R_MLO))
    (other,) = states_of(model=replace(MODEL, sha256="f" * 64))

    assert len({state.SOPInstanceUID, fewer.SOPInstanceUID, other.SOPInstanceUID}) == 3
    assert state.SeriesInstanceUID == fewer.SeriesInstanceUID != other.SeriesInstanceUID


def test_the_same_exam_is_the_same_bytes():
    first, second = states_of(*FINDINGS), states_of(*FINDINGS)

    assert [encode(one) for one in first] == [encode(one) for one in second]


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(ValueError, match="of each view that was read"):
        presentation_states(images([R_CC]), {R_CC: SHOWN}, exam(), NOW)
    with pytest.raises(ValueError, match=r"lies on image 1\.2\.3"):
        states_of(replace(finding(R_CC), sop_uid="1.2.3"))


def lut(first, signed=False, stated=12):
    """A VOI LUT of 12 bits that is no straight line."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [4096, first, stated])
    values = 4095 * np.sqrt(np.arange(4096) / 4095)
    item.add_new("LUTData", "OW", values.astype("<u2").tobytes())
    return {"WindowCenter": None, "WindowWidth": None, "VOILUTSequence": Sequence([item])}


FALLING = {"RescaleSlope": "-1", "RescaleIntercept": "4095"}
SIGNED = {"pixels": (np.arange(96 * 64).reshape(96, 64) % 4096 - 2048).astype(np.int16)}
WAYS = {
    "window": {},
    "narrow window": {"WindowCenter": "1500.5", "WindowWidth": "700"},
    "exact window": {"WindowCenter": "1500", "WindowWidth": "900", "VOILUTFunction": "LINEAR_EXACT"},
    "two windows": {"WindowCenter": ["1500", "2000"], "WindowWidth": ["900", "4000"]},
    "no window": {"WindowCenter": None, "WindowWidth": None},
    "inverted": {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    "rescaled": {"RescaleSlope": "2", "RescaleIntercept": "-100"},
    "falling": FALLING,
    "falling, no window": {**FALLING, "WindowCenter": None, "WindowWidth": None},
    "falling, exact window": {**FALLING, "VOILUTFunction": "LINEAR_EXACT"},
    "falling, table": {**FALLING, **lut(0)},
    "table": lut(0),
    "table that states more bits than it fills": lut(0, stated=16),
    "signed": {**SIGNED, "WindowCenter": "0", "WindowWidth": "3000"},
    "signed table": {**SIGNED, **lut(-2048, signed=True)},
}


@pytest.mark.parametrize("way", WAYS)
def test_dcmtk_renders_an_image_with_its_state_as_the_node_showed_it(tmp_path: Path, way):
    source = mammogram(R_CC, **WAYS[way])
    (tmp_path / "image.dcm").write_bytes(part10(source))
    shown = read_mammogram(source)
    found = replace(exam(views=(R_CC,)), study_uid=str(source.StudyInstanceUID))
    (state,) = presentation_states({R_CC: source}, {R_CC: shown}, found, NOW)
    (tmp_path / "state.dcm").write_bytes(encode(state))

    subprocess.run(
        [find_program("dcmp2pgm"), "-p", "state.dcm", "image.dcm", "shown.pgm"], cwd=tmp_path, check=True
    )

    raw = (tmp_path / "shown.pgm").read_bytes()
    rendered = np.frombuffer(raw[-shown.pixels.size :], np.uint8).reshape(shown.shape)
    assert rendered == pytest.approx(shown.image() * 255, abs=1.5)
    assert rendered.std() > 20
