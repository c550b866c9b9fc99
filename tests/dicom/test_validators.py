"""What independent validators say of every result, in every state."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from dibmg_node.dicom import facts
from dibmg_node.dicom.cad_report import cad_report
from dibmg_node.dicom.encode import encode
from dibmg_node.dicom.measurement_report import measurement_report
from dibmg_node.dicom.overlay import overlay
from dibmg_node.dicom.presentation import images_of, presentation_states
from dibmg_node.dicom.sr.checking import check_report
from dibmg_node.dicom.withdrawal import withdrawal
from dibmg_node.domain.image import Mammogram, WindowRule
from dibmg_node.domain.result import REPORTS, FindingCode, OverlayStyle, Predecessor, ResultKind
from dibmg_node.services.writing import written
from tests.dicom.factories_results import (
    NOW,
    STANDARD_VIEWS,
    breast_image,
    exam,
    finding,
    header,
    heatmap,
    read_states,
    sop_uid,
    states,
)
from tests.dicom.test_overlay import drawn
from tests.programs import find_program

PIXELMED = Path("/usr/share/java/pixelmed.jar")
LIMITS_OFF = [f"-Djdk.xml.xpath{name}Limit=0" for name in ("TotalOp", "ExprOp", "ExprGrp")]
BARE = {"PatientOrientation": None, "ImagerPixelSpacing": None, "Manufacturer": None, "PatientAge": None}
LOSSY = {
    "LossyImageCompression": "01",
    "LossyImageCompressionRatio": "12.5",
    "LossyImageCompressionMethod": "ISO_10918_1",
}


def output(*command):
    run = subprocess.run(command, capture_output=True, timeout=280, check=False)
    return (run.stdout + run.stderr).decode("utf-8", "replace")


def complaints(words):
    return [line for line in words.splitlines() if line.startswith(("Error", "Warning", "E:", "F:"))]


def report_file(folder, state, finding_code=FindingCode.DENSITY):
    path = folder / "report.dcm"
    path.write_bytes(encode(cad_report(**states()[state], finding_code=finding_code)))
    return path


@pytest.mark.parametrize("state", states())
@pytest.mark.parametrize("finding_code", FindingCode)
def test_dciodvfy_has_nothing_against_a_cad_report(tmp_path, state, finding_code):
    path = report_file(tmp_path, state, finding_code)

    words = output(find_program("dciodvfy"), "-new", path)

    assert "MammographyCADSR" in words
    assert complaints(words) == []


@pytest.mark.parametrize("state", states())
@pytest.mark.parametrize("finding_code", FindingCode)
def test_dsrdump_has_nothing_against_a_cad_report(tmp_path, state, finding_code):
    path = report_file(tmp_path, state, finding_code)

    words = output(find_program("dsrdump"), path)

    assert "Mammography CAD SR Document" in words
    assert complaints(words) == []
    assert {line for line in words.splitlines() if line.startswith("W:")} == {
        "W: Check for template constraints not yet supported"
    }


def measurement_file(folder, state):
    path = folder / "measurements.dcm"
    path.write_bytes(encode(measurement_report(**read_states()[state])))
    return path


@pytest.mark.parametrize("state", read_states())
def test_dciodvfy_has_nothing_against_a_measurement_report(tmp_path, state):
    words = output(find_program("dciodvfy"), "-new", measurement_file(tmp_path, state))

    assert "ComprehensiveSR" in words
    assert complaints(words) == []


@pytest.mark.parametrize("state", read_states())
def test_dsrdump_has_nothing_against_a_measurement_report(tmp_path, state):
    words = output(find_program("dsrdump"), measurement_file(tmp_path, state))

    assert "Comprehensive SR Document" in words
    assert [line for line in words.splitlines() if line.startswith(("E:", "F:"))] == []
    warnings = {line for line in words.splitlines() if line.startswith("W:")}
    assert warnings <= {"W: Check for template constraints not yet supported"}


def state_files(folder, state, changes):
    """The two presentation states of a state of the exam, one of whose images is inverted."""
    arguments = read_states()[state]
    views = list(arguments["images"])
    images = {view: header(view, **changes) for view in views}
    shown = Mammogram(np.zeros((400, 320), np.uint16), 100.0, 3000.0, False, WindowRule.WINDOW)
    mammograms = {view: replace(shown, inverted=view == views[0]) for view in views}
    paths = []
    for one in presentation_states(images, mammograms, arguments["result"], NOW):
        paths.append(folder / f"state{len(paths)}.dcm")
        paths[-1].write_bytes(encode(one))
    return paths


EMPTY_LATERALITY = "Warning - </Laterality(0020,0060)> - is only permitted to be empty when actually unknown"
"""The images of an exam are of both breasts, and Laterality has one value. Source: PS3.3 C.7.3.1."""


@pytest.mark.parametrize("state", read_states())
@pytest.mark.parametrize("changes", [{}, BARE, LOSSY], ids=["whole", "bare", "lossy"])
def test_dciodvfy_has_nothing_against_a_presentation_state(tmp_path, state, changes):
    for path in state_files(tmp_path, state, changes):
        words = output(find_program("dciodvfy"), "-new", path)

        assert "GrayscaleSoftcopyPresentationState" in words
        assert [one for one in complaints(words) if not one.startswith(EMPTY_LATERALITY)] == []


@pytest.mark.parametrize("state", read_states())
def test_dcmpschk_has_nothing_against_a_presentation_state(tmp_path, state):
    for path in state_files(tmp_path, state, {}):
        words = output(find_program("dcmpschk"), path)

        assert "Test passed." in words


@pytest.mark.parametrize("view", STANDARD_VIEWS, ids=str)
@pytest.mark.parametrize("changes", [{}, BARE, LOSSY], ids=["whole", "bare", "lossy"])
@pytest.mark.parametrize(
    ("style", "syntax"),
    [(OverlayStyle.COLOR, facts.EXPLICIT_LE), *((style, facts.RLE_LOSSLESS) for style in OverlayStyle)],
)
def test_dciodvfy_has_nothing_against_an_overlay(tmp_path, view, style, changes, syntax):
    image = breast_image(view, 600, 481)
    result = exam(finding(view))
    warm = heatmap(600, 481, (200.5, 150.5), 30.0)
    pixels = drawn(image, warm.astype(np.float32), view, result, max_side=399, style=style)
    source = header(view, rows=600, columns=481, **changes)
    path = tmp_path / "overlay.dcm"
    sources = [sop_uid(one) for one in STANDARD_VIEWS]
    capture = overlay(source, pixels, view, result, sources, NOW, style=style)
    path.write_bytes(encode(capture, syntax))

    words = output(find_program("dciodvfy"), "-new", path)

    assert "SCImage" in words
    assert complaints(words) == []


def withdrawal_file(folder, kind):
    """What takes back a result of each kind, read back from its bytes as the node does."""
    if kind is ResultKind.CAD_SR:
        earlier = report_file(folder, "findings")
    elif kind is ResultKind.MEASUREMENT_SR:
        earlier = measurement_file(folder, "findings")
    elif kind is ResultKind.PRESENTATION:
        earlier = state_files(folder, "findings", {})[1]
    else:
        earlier = folder / "overlay.dcm"
        view = STANDARD_VIEWS[0]
        pixels = np.full((600, 481, 3), 99, np.uint8)
        capture = overlay(header(view, rows=600, columns=481), pixels, view, exam(), [sop_uid(view)], NOW)
        earlier.write_bytes(encode(capture, facts.RLE_LOSSLESS))
    was = dcmread(earlier)
    reference = Predecessor(was.SOPClassUID, was.SOPInstanceUID, was.SeriesInstanceUID)
    lost = sorted(images_of(was))[:1] if kind is ResultKind.PRESENTATION else ()
    path = folder / "withdrawal.dcm"
    path.write_bytes(written(withdrawal(was, reference, kind, "breast implant", NOW, lost), kind).content)
    return path


@pytest.mark.parametrize("kind", ResultKind)
def test_dciodvfy_has_nothing_against_a_withdrawal(tmp_path, kind):
    words = output(find_program("dciodvfy"), "-new", withdrawal_file(tmp_path, kind))

    assert len(words.splitlines()) >= 1
    assert [one for one in complaints(words) if not one.startswith(EMPTY_LATERALITY)] == []


@pytest.mark.parametrize("kind", sorted(REPORTS))
def test_dsrdump_has_nothing_against_a_withdrawal(tmp_path, kind):
    words = output(find_program("dsrdump"), withdrawal_file(tmp_path, kind))

    assert "Research use only" in words
    assert [line for line in words.splitlines() if line.startswith(("E:", "F:"))] == []


def test_dcmpschk_has_nothing_against_the_withdrawal_of_a_presentation_state(tmp_path):
    words = output(find_program("dcmpschk"), withdrawal_file(tmp_path, ResultKind.PRESENTATION))

    assert "Test passed." in words


def test_the_checker_has_nothing_against_the_withdrawal_of_a_cad_report(tmp_path):
    assert check_report(dcmread(withdrawal_file(tmp_path, ResultKind.CAD_SR))) == []


def java_path():
    """PixelMed with the libraries that it needs, all of Debian."""
    assert PIXELMED.exists(), "libpixelmed-java is not installed"
    return ":".join(str(jar) for jar in sorted(PIXELMED.parent.glob("*.jar")))


EXPECTED_WARNINGS = (
    # Its templates are of 2022: Algorithm Manufacturer came later, and it spells three meanings otherwise.
    '(122405,DCM,"Algorithm Manufacturer")',
    'Code (111234,DCM,"Overall Impression/Recommendation Analysis") has different code meaning',
    'Code (111025,DCM,"Failed Detections") has different code meaning',
    'Code (111024,DCM,"Failed Analyses") has different code meaning',
    # TID 1500 is extensible: the scores stand as numbers below the sentences that tell of them.
    'TEXT (121073,DCM,"Impression")/',
)


def unexpected_of_pixelmed(path):
    """What PixelMed's validator says of a report, but for what is its age."""
    words = output(
        find_program("java"),
        "-Xmx3g",
        "-Xss64m",
        *LIMITS_OFF,
        "-cp",
        java_path(),
        "com.pixelmed.validate.DicomSRValidator",
        path,
    )
    assert "Root Template Validation Complete" in words
    return [line for line in complaints(words) if not any(expected in line for expected in EXPECTED_WARNINGS)]


@pytest.mark.slow
@pytest.mark.parametrize("state", states())
@pytest.mark.parametrize("finding_code", FindingCode)
def test_pixelmed_finds_every_row_of_tid_4000_right(tmp_path, state, finding_code):
    assert unexpected_of_pixelmed(report_file(tmp_path, state, finding_code)) == []


@pytest.mark.slow
@pytest.mark.parametrize("state", read_states())
def test_pixelmed_finds_every_row_of_tid_1500_right(tmp_path, state):
    assert unexpected_of_pixelmed(measurement_file(tmp_path, state)) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(REPORTS))
def test_pixelmed_finds_every_row_of_a_withdrawal_right(tmp_path, kind):
    assert unexpected_of_pixelmed(withdrawal_file(tmp_path, kind)) == []
