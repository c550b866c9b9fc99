"""UIDs of results, and what a result's header takes from the images."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dibmg_node.dicom import facts
from dibmg_node.dicom.encode import encode
from dibmg_node.dicom.header import is_uid
from dibmg_node.dicom.identity import Origin, result_uid, series_uid, tracking_uid
from dibmg_node.dicom.result_header import SERIES_DESCRIPTIONS, plain_text, result_header
from dibmg_node.domain.device import Device
from dibmg_node.domain.result import ResultKind
from dibmg_node.domain.study import STANDARD_VIEWS
from tests.dicom.factories_results import MODEL, NOW, POINT, R_CC, STUDY_UID, finding, header, read_back

NAME = 0x00100010
ORIGIN = Origin(STUDY_UID, ("1.2", "1.3"), MODEL, POINT)


def shared(source, origin=ORIGIN, now=NOW):
    return result_header(source, origin, ResultKind.CAD_SR, facts.MAMMOGRAPHY_CAD_SR, "2.25.1", now)


def written(dataset):
    return dcmread(BytesIO(encode(dataset)))


def test_a_result_uid_is_a_uuid_derived_uid():
    uid = result_uid(ORIGIN, ResultKind.CAD_SR)

    assert is_uid(uid)
    assert uid.startswith("2.25.")
    assert len(uid) <= 44


def test_the_order_of_the_sources_does_not_change_a_result_uid():
    turned = replace(ORIGIN, source_uids=("1.3", "1.2"))

    assert result_uid(turned, ResultKind.CAD_SR) == result_uid(ORIGIN, ResultKind.CAD_SR)


@pytest.mark.parametrize(
    "other",
    [
        replace(ORIGIN, study_uid="1.2.4"),
        replace(ORIGIN, source_uids=("1.2",)),
        replace(ORIGIN, model=None),
        replace(ORIGIN, model=replace(MODEL, sha256="f" * 64)),
        replace(ORIGIN, model=replace(MODEL, preprocessing_version="2")),
        replace(ORIGIN, model=replace(MODEL, runtime="tensorflow")),
        replace(ORIGIN, model=replace(MODEL, precision="bf16")),
        replace(ORIGIN, operating_point=None),
        replace(ORIGIN, operating_point=replace(POINT, version="2")),
        replace(ORIGIN, operating_point=replace(POINT, device=Device("Maker"))),
        replace(ORIGIN, reasons=("L-MLO is missing",)),
    ],
)
def test_whatever_a_result_depends_on_changes_its_uid(other):
    assert result_uid(other, ResultKind.CAD_SR) != result_uid(ORIGIN, ResultKind.CAD_SR)


def test_kind_variant_and_view_each_change_a_result_uid():
    uids = {
        result_uid(ORIGIN, ResultKind.CAD_SR),
        result_uid(ORIGIN, ResultKind.OVERLAY),
        result_uid(ORIGIN, ResultKind.OVERLAY, "color"),
        *(result_uid(ORIGIN, ResultKind.OVERLAY, "color", view) for view in STANDARD_VIEWS),
    }

    assert len(uids) == 7


def test_parts_of_a_uid_cannot_run_into_each_other():
    first = replace(ORIGIN, model=replace(MODEL, runtime="a|b", precision="c"))
    second = replace(ORIGIN, model=replace(MODEL, runtime="a", precision="b|c"))

    assert result_uid(first, ResultKind.CAD_SR) != result_uid(second, ResultKind.CAD_SR)


def test_a_series_belongs_to_one_study_kind_and_set_of_weights():
    other_weights = replace(MODEL, sha256="f" * 64)

    uids = {
        series_uid(STUDY_UID, ResultKind.CAD_SR, MODEL),
        series_uid(STUDY_UID, ResultKind.OVERLAY, MODEL),
        series_uid(STUDY_UID, ResultKind.CAD_SR, other_weights),
        series_uid("1.2.4", ResultKind.CAD_SR, MODEL),
    }

    assert len(uids) == 4
    assert series_uid(STUDY_UID, ResultKind.CAD_SR, MODEL) in uids


def test_a_finding_keeps_its_tracking_uid_under_another_number_and_loses_it_at_another_place():
    here = finding(R_CC, 1)

    assert tracking_uid(replace(here, number=3), MODEL, POINT) == tracking_uid(here, MODEL, POINT)
    assert tracking_uid(replace(here, center=(9.0, 9.0)), MODEL, POINT) != tracking_uid(here, MODEL, POINT)


def test_patient_and_study_are_copied_as_they_are():
    source = header(R_CC)

    copied = written(shared(source))

    names = (
        "SpecificCharacterSet",
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "PatientBirthDate",
        "PatientSex",
        "PatientAge",
        "StudyInstanceUID",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "StudyDescription",
        "AccessionNumber",
        "ReferringPhysicianName",
    )
    assert {name: copied[name].value for name in names} == {name: source[name].value for name in names}


@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192", ["", "ISO 2022 IR 87"], None])
def test_a_name_keeps_its_bytes_in_any_character_set(character_set):
    name = "Yamada^Tarou=山田^太郎" if isinstance(character_set, list) else "Müller^Anna"
    source = header(R_CC, PatientName="A^B" if character_set is None else name)
    if character_set is None:
        del source.SpecificCharacterSet
    else:
        source = header(R_CC, SpecificCharacterSet=character_set, PatientName=name)

    sent = source.get_item(NAME).value
    copied = written(shared(source))

    assert copied.get_item(NAME).value == sent
    assert copied.get("SpecificCharacterSet") == source.get("SpecificCharacterSet")


def test_missing_type_2_attributes_are_empty_and_nothing_is_invented():
    bare = Dataset()
    bare.SOPClassUID, bare.SOPInstanceUID = facts.MG_FOR_PRESENTATION, "1.2.3.4"
    bare.StudyInstanceUID = STUDY_UID

    copied = written(shared(read_back(bare)))

    empty = {element.keyword for element in copied if element.is_empty}
    assert empty == {
        "AccessionNumber",
        "PatientBirthDate",
        "PatientID",
        "PatientName",
        "PatientSex",
        "ReferringPhysicianName",
        "StudyDate",
        "StudyID",
        "StudyTime",
    }
    for keyword in ("PatientAge", "StudyDescription", "IssuerOfPatientID", "ContributingEquipmentSequence"):
        assert keyword not in copied


def test_an_invalid_date_of_the_source_is_carried_not_refused():
    odd = BytesIO(encode(header(R_CC)).replace(b"19600102", b"1960.1.2"))

    copied = shared(dcmread(odd))

    assert b"1960.1.2" in encode(copied)


def test_sequences_of_an_implicit_source_are_written_explicit():
    source = Dataset()
    source.SOPClassUID, source.SOPInstanceUID = facts.MG_FOR_PRESENTATION, "1.2.3.4"
    source.StudyInstanceUID, source.PatientName = STUDY_UID, "A^B"
    qualifier = Dataset()
    qualifier.UniversalEntityID, qualifier.UniversalEntityIDType = "1.2.9", "ISO"
    source.IssuerOfPatientIDQualifiersSequence = Sequence([qualifier])

    copied = written(shared(read_back(source, facts.IMPLICIT_LE)))

    assert copied.IssuerOfPatientIDQualifiersSequence[0].UniversalEntityID == "1.2.9"


def test_the_equipment_is_the_node_and_the_modality_contributed():
    copied = shared(header(R_CC))

    assert copied.Manufacturer == facts.MANUFACTURER
    assert list(copied.SoftwareVersions) == [facts.IMPLEMENTATION_VERSION_NAME, "DIB-MG synthetic 0.1.0"]
    contributed = copied.ContributingEquipmentSequence[0]
    assert contributed.Manufacturer == "Maker"
    assert list(contributed.SoftwareVersions) == ["1.0", "2.0"]
    assert contributed.PurposeOfReferenceCodeSequence[0].CodeValue == "109101"


def test_every_result_says_that_it_is_research():
    copied = shared(header(R_CC))

    assert copied.ContentQualification == "RESEARCH"
    for description in SERIES_DESCRIPTIONS.values():
        assert "research" in description
        assert "not for diagnosis" in description
        assert len(description) <= 64


def test_the_time_of_analysis_is_written_in_the_time_zone_of_the_source():
    now = datetime(2026, 3, 4, 23, 30, tzinfo=UTC)

    copied = shared(header(R_CC, TimezoneOffsetFromUTC="+0900"), now=now)

    assert (copied.ContentDate, copied.ContentTime) == ("20260305", "083000")
    assert copied.TimezoneOffsetFromUTC == "+0900"


@pytest.mark.parametrize("offset", ["+9999", "-1260", "+1460", "0100", "+1500", "-1300", "UTC"])
def test_an_offset_that_is_none_leaves_the_time_of_this_machine(offset: str) -> None:
    now = datetime(2026, 3, 4, 23, 30, tzinfo=UTC)

    copied = shared(header(R_CC, TimezoneOffsetFromUTC=offset), now=now)

    assert (copied.ContentDate, copied.ContentTime) == (
        now.astimezone().strftime("%Y%m%d"),
        now.astimezone().strftime("%H%M%S"),
    )


def test_own_words_are_plain_ascii():
    assert plain_text("Größe ≥ 3 – ‘x’\n\u200bA\\B") == "Gro?e >= 3 - 'x' ?A/B"


def test_without_a_time_zone_in_the_source_the_time_of_analysis_is_local_like_the_study(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    try:
        copied = shared(header(R_CC), now=datetime(2026, 3, 4, 23, 30, tzinfo=UTC))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert (copied.ContentDate, copied.ContentTime) == ("20260305", "083000")


def test_a_time_without_zone_is_written_as_it_is():
    copied = shared(header(R_CC, TimezoneOffsetFromUTC="+0900"), now=datetime(2026, 3, 4, 23, 30))

    assert (copied.ContentDate, copied.ContentTime) == ("20260304", "233000")
