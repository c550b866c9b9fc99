from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from dibmg_node.dicom import facts
from dibmg_node.dicom.header import read_instance
from dibmg_node.dicom.mammogram import read_mammogram
from dibmg_node.dicom.pixels import PixelsUnreadableError
from dibmg_node.dicom.resizing import resize
from dibmg_node.domain.image import Mammogram
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.study import (
    STANDARD_VIEWS,
    Exclusion,
    ExclusionCode,
    Instance,
    Laterality,
    Study,
    ViewKey,
)
from dibmg_node.services.images import DamagedFileError, Images, Shown, StudyFiles
from dibmg_node.services.reading import Reading, read_headers, read_study
from dibmg_node.storage.archive import Archive
from tests.dicom.test_header import element
from tests.factories import (
    CANARY,
    L_CC,
    L_MLO,
    R_CC,
    R_MLO,
    STUDY_UID,
    FakePredictor,
    archive_data_set,
    breast_pixels,
    mammogram,
    sop_uid,
)


def files_of(archive: Archive, datasets: Sequence[FileDataset]) -> StudyFiles:
    """Archive data sets, and hand them out as the ledger would."""
    checksums = {str(one.SOPInstanceUID): archive_data_set(archive, one) for one in datasets}
    instances = tuple(read_instance(one, str(one.file_meta.TransferSyntaxUID)) for one in datasets)
    paths = {i.sop_uid: archive.instance_path(i.sop_uid) for i in instances}
    return StudyFiles(Study(STUDY_UID, 1, instances), paths, checksums)


def exam() -> list[FileDataset]:
    return [mammogram(view) for view in STANDARD_VIEWS]


def read_with(predictor: FakePredictor, files: StudyFiles, policy: ExamPolicy = ExamPolicy()) -> Reading:
    """Read a study, and keep its images whole."""
    return read_study(files, policy, Images(predictor, Shown(overlays=True)))


def codes(
    files: StudyFiles, policy: ExamPolicy = ExamPolicy(), predictor: FakePredictor | None = None
) -> dict[str, str]:
    reading = read_with(predictor or FakePredictor(), files, policy)
    return {verdict.sop_uid: verdict.code for verdict in reading.selection.verdicts}


def refusing(*views: ViewKey, number: int = 0) -> FakePredictor:
    """A model that finds no breast in some images."""
    bad = {sop_uid(view, number=number) for view in views}

    def refuse(one: Instance) -> Exclusion | None:
        if one.sop_uid not in bad:
            return None
        return Exclusion(ExclusionCode.NO_BREAST, "no breast found", one.sop_uid, one.laterality)

    return FakePredictor(refuse)


def test_an_exam_is_read_whole(archive: Archive) -> None:
    reading = read_with(FakePredictor(), files_of(archive, exam()))

    assert reading.result is not None
    assert set(reading.result.scores.views) == set(STANDARD_VIEWS) == set(reading.mammograms)
    assert set(reading.headers) == set(reading.sha256) == {sop_uid(view) for view in STANDARD_VIEWS}
    assert {"read", "prepare"} <= set(reading.result.seconds)
    assert "PixelData" not in reading.headers[sop_uid(R_CC)]
    assert all(header.buffer is None for header in reading.headers.values())


def test_digests_are_of_the_data_set_whatever_stands_before_it(archive: Archive) -> None:
    from hashlib import sha256

    from tests.factories import data_set_bytes

    reading = read_with(FakePredictor(), files_of(archive, exam()))

    assert reading.sha256[sop_uid(R_CC)] == sha256(data_set_bytes(mammogram(R_CC))).hexdigest()


def test_nothing_to_read_gives_no_result_and_asks_no_model(archive: Archive) -> None:
    def never(one: Instance) -> Exclusion | None:
        raise AssertionError("asked")

    reading = read_with(FakePredictor(never), files_of(archive, exam()[:1]))

    assert (reading.result, reading.selection.exam) == (None, None)
    assert reading.selection.reason == "missing views: L-CC, R-MLO, L-MLO"


def test_images_of_two_patients_are_not_read_and_nobody_is_named(archive: Archive) -> None:
    datasets = [*exam()[:3], mammogram(L_MLO, PatientID=CANARY)]

    reading = read_with(FakePredictor(), files_of(archive, datasets))

    assert {v.code for v in reading.selection.verdicts} == {"PATIENT_DIFFERS"}
    assert "2 different patients" in reading.selection.reason
    assert CANARY not in str(reading.selection)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"IssuerOfPatientID": "HOSPITAL"}, "USED"),
        ({"PatientID": "P123 "}, "USED"),
        ({"PatientName": "Another^Spelling"}, "USED"),
        ({"PatientID": ""}, "PATIENT_DIFFERS"),
        ({"PatientID": "P124"}, "PATIENT_DIFFERS"),
    ],
)
def test_identifiers_make_the_patient(archive: Archive, change: dict[str, str], code: str) -> None:
    files = files_of(archive, [*exam()[:3], mammogram(L_MLO, **change)])

    assert set(codes(files).values()) == {code}


def test_one_identifier_from_two_issuers_is_two_patients(archive: Archive) -> None:
    files = files_of(
        archive,
        [
            mammogram(view, IssuerOfPatientID="A" if view.laterality is Laterality.LEFT else "B")
            for view in STANDARD_VIEWS
        ],
    )

    assert set(codes(files).values()) == {"PATIENT_DIFFERS"}


def test_a_file_that_is_not_what_was_received_stops_the_reading(archive: Archive) -> None:
    files = files_of(archive, exam())
    path = archive.instance_path(sop_uid(R_CC))
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)

    with pytest.raises(DamagedFileError, match="CRC-32"):
        read_with(FakePredictor(), files)


def test_a_report_whose_content_is_damaged_costs_no_image_its_reading(archive: Archive) -> None:
    report = mammogram(
        number=9, SOPClassUID=facts.MAMMOGRAPHY_CAD_SR, SOPInstanceUID="1.2.9", Modality="SR", PixelData=None
    )
    files = files_of(archive, [*exam(), report])
    with files.paths["1.2.9"].open("ab") as file:
        file.write(element(0x40, 0xA730, b"SQ", b"no item", length=0xFFFFFFFF))

    reading = read_with(FakePredictor(), replace(files, checksums={}))

    assert reading.result is not None


def test_a_file_that_is_gone_stops_the_reading(archive: Archive) -> None:
    files = files_of(archive, exam())
    archive.instance_path(sop_uid(R_CC)).unlink()

    with pytest.raises(OSError):
        read_with(FakePredictor(), files)


def test_headers_of_damaged_files_are_left_out(archive: Archive) -> None:
    files = files_of(archive, exam())
    archive.instance_path(sop_uid(R_CC)).unlink()
    archive.instance_path(sop_uid(L_CC)).write_bytes(b"garbage")

    assert set(read_headers(files)) == {sop_uid(R_MLO), sop_uid(L_MLO)}


def test_an_image_that_cannot_be_decoded_takes_its_breast_out(archive: Archive) -> None:
    files = files_of(archive, [mammogram(R_CC, PixelData=b"\0\0"), *exam()[1:]])

    assert codes(files) == {
        sop_uid(R_CC): "PIXELS_UNREADABLE",
        sop_uid(L_CC): "USED",
        sop_uid(R_MLO): "BREAST_INCOMPLETE",
        sop_uid(L_MLO): "USED",
    }


def test_an_older_image_takes_the_place_of_one_that_cannot_be_decoded(archive: Archive) -> None:
    files = files_of(archive, [*exam(), mammogram(R_CC, number=1, PixelData=b"\0\0")])

    found = codes(files)

    assert found[sop_uid(R_CC, number=1)] == "PIXELS_UNREADABLE"
    assert found[sop_uid(R_CC)] == "USED"


def test_a_syntax_without_a_decoder_is_told_as_such(archive: Archive) -> None:
    dataset = mammogram(R_CC, transfer_syntax_uid=facts.JPEG_EXTENDED)

    found = codes(files_of(archive, [dataset, *exam()[1:]]))

    assert found[sop_uid(R_CC)] == "SYNTAX_NOT_DECODED"


def test_pixels_that_end_in_mid_air_are_unreadable_and_no_crash(archive: Archive, tmp_path: Path) -> None:
    files = files_of(archive, exam())
    path = archive.instance_path(sop_uid(R_CC))
    path.write_bytes(path.read_bytes()[:-700])
    unchecked = StudyFiles(files.study, files.paths)

    found = codes(unchecked)

    assert found[sop_uid(R_CC)] == "PIXELS_UNREADABLE"
    assert found[sop_uid(L_CC)] == "USED"


def test_an_image_without_a_breast_is_replaced_by_an_older_one(archive: Archive) -> None:
    files = files_of(archive, [*exam(), mammogram(R_CC, number=1)])

    found = codes(files, predictor=refusing(R_CC, number=1))

    assert found[sop_uid(R_CC, number=1)] == "NO_BREAST"
    assert list(found.values()).count("USED") == 4


def test_an_image_without_a_breast_takes_its_breast_out(archive: Archive) -> None:
    found = codes(files_of(archive, exam()), predictor=refusing(R_CC))

    assert [found[sop_uid(view)] for view in STANDARD_VIEWS] == [
        "NO_BREAST",
        "USED",
        "BREAST_INCOMPLETE",
        "USED",
    ]


def test_each_image_of_a_breast_has_its_own_reason(archive: Archive) -> None:
    files = files_of(archive, [exam()[0], mammogram(L_CC, PixelData=b"\0\0"), *exam()[2:]])

    found = codes(files, predictor=refusing(L_MLO))

    assert [found[sop_uid(view)] for view in (L_CC, L_MLO)] == ["PIXELS_UNREADABLE", "NO_BREAST"]
    assert [found[sop_uid(view)] for view in (R_CC, R_MLO)] == ["USED", "USED"]


def test_a_study_without_any_breast_is_not_read(archive: Archive) -> None:
    reading = read_with(refusing(*STANDARD_VIEWS), files_of(archive, exam()))

    assert reading.result is None
    assert {v.code for v in reading.selection.verdicts} == {"NO_BREAST"}


def test_images_are_decoded_once_however_often_the_exam_is_selected(archive: Archive) -> None:
    asked: list[str] = []

    def refuse(one: Instance) -> Exclusion | None:
        asked.append(one.sop_uid)
        return refusing(R_CC, number=1).refuse(one)

    read_with(FakePredictor(refuse), files_of(archive, [*exam(), mammogram(R_CC, number=1)]))

    assert sorted(asked) == sorted([sop_uid(R_CC, number=1), *(sop_uid(view) for view in STANDARD_VIEWS)])


def test_of_an_image_that_is_to_be_shown_the_pixels_of_its_overlay_are_kept(archive: Archive) -> None:
    files = files_of(archive, exam())
    whole, half, none = (
        read_study(files, ExamPolicy(), Images(FakePredictor(), shown)).mammograms[R_CC]
        for shown in (Shown(overlays=True), Shown(overlays=True, max_side=32), Shown())
    )

    assert whole.shape == half.shape == none.shape == whole.pixels.shape
    assert max(half.pixels.shape) == 32
    np.testing.assert_array_equal(half.pixels, resize(whole.pixels, half.pixels.shape))
    assert none.pixels.size == 0
    assert none.pixels.base is None  # or the whole image stays in memory with it
    assert (half.low, half.high, half.rule) == (whole.low, whole.high, whole.rule)


def test_what_the_model_reads_of_jpeg_2000_does_not_depend_on_what_is_shown(archive: Archive) -> None:
    images = [
        mammogram(view, pixels=breast_pixels(view), transfer_syntax_uid=facts.JPEG_2000_LOSSLESS)
        for view in STANDARD_VIEWS
    ]
    files, predictor = files_of(archive, images), FakePredictor(least_side=48)
    none, half, whole = (
        read_study(files, ExamPolicy(), Images(predictor, shown))
        for shown in (Shown(), Shown(overlays=True, max_side=48), Shown(overlays=True, max_side=0))
    )
    of_all = read_with(FakePredictor(), files)

    assert none.result and half.result and whole.result and of_all.result
    assert none.result.scores == half.result.scores == whole.result.scores != of_all.result.scores
    assert half.mammograms[R_CC].pixels.shape == (48, 32)
    np.testing.assert_array_equal(whole.mammograms[R_CC].pixels, images[0].pixel_array)
    assert half.mammograms[R_CC].shape == whole.mammograms[R_CC].shape == (96, 64)


def test_an_overlay_larger_than_what_the_model_reads_has_no_more_pixels_than_it_shows(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [
        mammogram(view, pixels=breast_pixels(view, 384, 256), transfer_syntax_uid=facts.JPEG_2000_LOSSLESS)
        for view in STANDARD_VIEWS
    ]
    files, shown = files_of(archive, images), Shown(overlays=True, max_side=96)
    sides: list[int] = []

    def noted(instance: FileDataset, least_side: int) -> Mammogram:
        sides.append(least_side)
        return read_mammogram(instance, least_side)

    monkeypatch.setattr("dibmg_node.services.images.read_mammogram", noted)
    first = read_study(files, ExamPolicy(), Images(FakePredictor(least_side=48), shown))

    def failing(instance: FileDataset, least_side: int) -> Mammogram:
        if least_side != 48:
            raise PixelsUnreadableError("the finest details are damaged")
        return read_mammogram(instance, least_side)

    monkeypatch.setattr("dibmg_node.services.images.read_mammogram", failing)
    second = read_study(files, ExamPolicy(), Images(FakePredictor(least_side=48), shown))

    assert sorted(sides) == [48] * 4 + [96] * 4
    assert first.result and second.result
    assert first.result.scores == second.result.scores
    assert first.mammograms[R_CC].pixels.shape == (96, 64)
    assert second.mammograms[R_CC].pixels.shape != (384, 256)
