from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset

from dibmg_node.dicom import facts
from dibmg_node.dicom.header import read_instance
from dibmg_node.domain.exam import Exam
from dibmg_node.domain.image import Mammogram
from dibmg_node.domain.policy import ExamMinimum, ExamPolicy
from dibmg_node.domain.study import STANDARD_VIEWS, Exclusion, ExclusionCode, Laterality, Study, ViewKey
from dibmg_node.errors import StudyExcludedError
from dibmg_node.services.reading import DamagedFileError, StudyFiles, read_headers, read_study
from dibmg_node.storage.archive import Archive
from tests.factories import (
    CANARY,
    L_CC,
    L_MLO,
    R_CC,
    R_MLO,
    STUDY_UID,
    FakePredictor,
    archive_data_set,
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


def codes(
    files: StudyFiles, policy: ExamPolicy = ExamPolicy(), predictor: FakePredictor | None = None
) -> dict[str, str]:
    reading = read_study(files, policy, predictor or FakePredictor())
    return {verdict.sop_uid: verdict.code for verdict in reading.selection.verdicts}


def refusing(*views: ViewKey, number: int = 0) -> FakePredictor:
    """A model that finds no breast in some images."""

    def refuse(exam: Exam, mammograms: Mapping[ViewKey, Mammogram]) -> None:
        bad = {sop_uid(view, number=number) for view in views}
        found = [
            Exclusion(ExclusionCode.NO_BREAST, "no breast found", i.sop_uid, i.laterality)
            for i in exam.views.values()
            if i.sop_uid in bad
        ]
        if found:
            raise StudyExcludedError(found)

    return FakePredictor(refuse)


def test_an_exam_is_read_whole(archive: Archive) -> None:
    reading = read_study(files_of(archive, exam()), ExamPolicy(), FakePredictor())

    assert reading.result is not None
    assert set(reading.result.scores.views) == set(STANDARD_VIEWS) == set(reading.mammograms)
    assert set(reading.headers) == set(reading.sha256) == {sop_uid(view) for view in STANDARD_VIEWS}
    assert {"read", "decode"} <= set(reading.result.seconds)
    assert "PixelData" not in reading.headers[sop_uid(R_CC)]
    assert all(header.buffer is None for header in reading.headers.values())


def test_digests_are_of_the_data_set_whatever_stands_before_it(archive: Archive) -> None:
    from hashlib import sha256

    from tests.factories import data_set_bytes

    reading = read_study(files_of(archive, exam()), ExamPolicy(), FakePredictor())

    assert reading.sha256[sop_uid(R_CC)] == sha256(data_set_bytes(mammogram(R_CC))).hexdigest()


def test_nothing_to_read_gives_no_result_and_asks_no_model(archive: Archive) -> None:
    def never(exam: Exam, mammograms: Mapping[ViewKey, Mammogram]) -> None:
        raise AssertionError("asked")

    reading = read_study(files_of(archive, exam()[:1]), ExamPolicy(), FakePredictor(never))

    assert (reading.result, reading.selection.exam) == (None, None)
    assert reading.selection.reason == "missing views: L-CC, R-MLO, L-MLO"


def test_images_of_two_patients_are_not_read_and_nobody_is_named(archive: Archive) -> None:
    datasets = [*exam()[:3], mammogram(L_MLO, PatientID=CANARY)]

    reading = read_study(files_of(archive, datasets), ExamPolicy(), FakePredictor())

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
        read_study(files, ExamPolicy(), FakePredictor())


def test_a_file_that_is_gone_stops_the_reading(archive: Archive) -> None:
    files = files_of(archive, exam())
    archive.instance_path(sop_uid(R_CC)).unlink()

    with pytest.raises(OSError):
        read_study(files, ExamPolicy(), FakePredictor())


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


def test_a_study_without_any_breast_is_not_read(archive: Archive) -> None:
    reading = read_study(files_of(archive, exam()), ExamPolicy(), refusing(*STANDARD_VIEWS))

    assert reading.result is None
    assert {v.code for v in reading.selection.verdicts} == {"NO_BREAST"}


@pytest.mark.parametrize("sop", [None, "1.2.3.of.no.image", sop_uid(R_CC, number=1)])
def test_a_model_that_refuses_without_naming_an_image_of_the_exam_ends_the_reading(
    archive: Archive, sop: str | None
) -> None:
    def refuse(exam: Exam, mammograms: Mapping[ViewKey, Mammogram]) -> None:
        raise StudyExcludedError([Exclusion(ExclusionCode.NO_BREAST, "no breast in any view", sop)])

    reading = read_study(files_of(archive, exam()), ExamPolicy(), FakePredictor(refuse))

    assert reading.result is None
    assert {v.sentence for v in reading.selection.verdicts} == {"no breast in any view"}


def test_images_are_decoded_once_however_often_the_exam_is_selected(archive: Archive) -> None:
    asked: list[Mapping[ViewKey, Mammogram]] = []

    def refuse(exam: Exam, mammograms: Mapping[ViewKey, Mammogram]) -> None:
        asked.append(mammograms)
        if len(asked) == 1:
            one = exam.views[R_CC]
            raise StudyExcludedError([Exclusion(ExclusionCode.NO_BREAST, "none", one.sop_uid)])

    files = files_of(archive, [*exam(), mammogram(R_CC, number=1)])
    read_study(files, ExamPolicy(minimum=ExamMinimum.ONE_VIEW), FakePredictor(refuse))

    assert asked[0][L_CC] is asked[1][L_CC]
    assert asked[0][R_CC] is not asked[1][R_CC]
