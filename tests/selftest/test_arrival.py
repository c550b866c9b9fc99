"""What arrived at the loop-back PACS of a self-test, and faults that were planted in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from pydicom import dcmread

from dibmg_node.dicom import facts
from dibmg_node.domain.exam import Exam
from dibmg_node.domain.image import Mammogram
from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.result import ExamResult
from dibmg_node.domain.selftest import SELFTEST_AET
from dibmg_node.domain.study import STANDARD_VIEWS, ViewKey
from dibmg_node.errors import SelfTestBrokenError
from dibmg_node.selftest.arrival import check_cad_report, check_digests, check_overlays
from dibmg_node.selftest.specimen import Specimen, SpecimenImage, make_specimen
from dibmg_node.services.cstore import CStoreSender
from dibmg_node.services.delivery import Parcel
from dibmg_node.services.loopback_pacs import LOOPBACK, Arrived, LoopbackPacs
from dibmg_node.services.writing import write_results
from dibmg_node.storage.archive import Archive
from tests.factories import FakePredictor, sop_uid
from tests.services.test_reading import exam, files_of, read_with
from tests.services.test_writing import WRITING

SPECIMEN = Specimen("1.2", {key: SpecimenImage(sop_uid(key), "", "", b"") for key in STANDARD_VIEWS}, {})


class InsidePredictor(FakePredictor):
    """Its outlines lie inside their images: a report of others is no good one."""

    def predict(self, exam: Exam, mammograms: Mapping[ViewKey, Mammogram]) -> ExamResult:
        result = super().predict(exam, mammograms)
        square = ((28.0, 28.0), (33.0, 28.0), (33.0, 33.0), (28.0, 33.0), (28.0, 28.0))
        return replace(
            result,
            findings=tuple(replace(one, center=(30.5, 30.5), outline=square) for one in result.findings),
        )


@pytest.fixture
def recorded(archive: Archive) -> list[dict[str, Any]]:
    """An exam's results, in the archive, and what the ledger would say of them."""
    reading = read_with(InsidePredictor(), files_of(archive, exam()))
    return [
        {
            "sop_uid": one.result.sop_uid,
            "kind": one.result.kind.value,
            "sha256": archive.put_result(one.result.sop_uid, one.content),
        }
        for one in write_results(reading, WRITING)
    ]


@pytest.fixture
def arrived(archive: Archive, recorded: list[dict[str, Any]]) -> Mapping[str, Arrived]:
    """The same results, sent over the wire."""
    parcels = []
    for one in recorded:
        path = archive.result_path(one["sop_uid"])
        meta = dcmread(path, stop_before_pixels=True).file_meta
        syntax, kind = str(meta.TransferSyntaxUID), str(meta.MediaStorageSOPClassUID)
        parcels.append(Parcel(one["sop_uid"], kind, syntax, path.read_bytes()))
    with LoopbackPacs().listening() as pacs:
        sender = CStoreSender("DIBMG", SELFTEST_AET, LOOPBACK, pacs.port)
        settled = sender.send(parcels)
        if any(one.state is DeliveryState.OWED for one in settled):
            # pynetdicom may miss an answer on a busy machine; what is owed is sent again, as by the node
            settled = sender.send(parcels)
        assert {one.state for one in settled} == {DeliveryState.STORED}
        return pacs.arrived


def complaint(check: Any, *arguments: Any) -> str:
    with pytest.raises(SelfTestBrokenError) as caught:
        check(*arguments)
    assert caught.value.remedy
    return str(caught.value)


def report_of(arrived: Mapping[str, Arrived]) -> Arrived:
    (report,) = (one for one in arrived.values() if one.sop_class_uid == facts.MAMMOGRAPHY_CAD_SR)
    return report


def overlay_of(arrived: Mapping[str, Arrived]) -> Arrived:
    return next(one for one in arrived.values() if one.sop_class_uid == facts.SECONDARY_CAPTURE)


def without(arrived: Mapping[str, Arrived], one: Arrived) -> dict[str, Arrived]:
    return {uid: other for uid, other in arrived.items() if uid != one.sop_uid}


def test_what_the_node_makes_passes(
    arrived: Mapping[str, Arrived], recorded: list[dict[str, Any]], archive: Archive
) -> None:
    assert "names all four images" in check_cad_report(arrived, SPECIMEN)
    assert check_overlays(arrived, SPECIMEN) == "one overlay of each image"
    assert check_digests(arrived, recorded, archive).startswith("5 results")


def test_a_missing_report_is_told(arrived: Mapping[str, Arrived]) -> None:
    found = complaint(check_cad_report, without(arrived, report_of(arrived)), SPECIMEN)

    assert found == "0 CAD reports arrived, expected one"


def test_a_report_that_departs_from_its_template_is_told(arrived: Mapping[str, Arrived]) -> None:
    report = report_of(arrived)
    # the code of Image Library becomes one that stands at no such place
    spoiled = replace(report, data_set=report.data_set.replace(b"111028", b"111029"))

    found = complaint(check_cad_report, {**arrived, report.sop_uid: spoiled}, SPECIMEN)

    assert "errors by TID 4000" in found


def test_a_report_that_leaves_an_image_out_is_told(arrived: Mapping[str, Arrived]) -> None:
    more = replace(SPECIMEN, images={**SPECIMEN.images, "fifth": SpecimenImage("1.2.3.99", "", "", b"")})

    assert complaint(check_cad_report, arrived, more) == "the CAD report does not name fifth"


def test_a_missing_overlay_is_told_with_its_view(arrived: Mapping[str, Arrived]) -> None:
    found = complaint(check_overlays, without(arrived, overlay_of(arrived)), SPECIMEN)

    assert found.startswith("not one overlay each of ")


def test_a_changed_byte_in_the_archive_is_told(
    arrived: Mapping[str, Arrived], recorded: list[dict[str, Any]], archive: Archive
) -> None:
    path = archive.result_path(recorded[0]["sop_uid"])
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    found = complaint(check_digests, arrived, recorded, archive)

    assert found == "the archived overlay has another SHA-256 than the ledger has"


def test_a_changed_byte_on_the_way_is_told(
    arrived: Mapping[str, Arrived], recorded: list[dict[str, Any]], archive: Archive
) -> None:
    one = arrived[recorded[0]["sop_uid"]]
    changed = replace(one, data_set=one.data_set[:-1] + bytes([one.data_set[-1] ^ 1]))

    found = complaint(check_digests, {**arrived, one.sop_uid: changed}, recorded, archive)

    assert found == "the overlay that arrived has other bytes than the archived one"


def test_the_exam_of_a_self_test_is_always_the_same_but_for_its_uids() -> None:
    one, other = make_specimen("1.2.3"), make_specimen("1.2.4")

    pixels = [[dcmread_bytes(i.content).PixelData for i in s.images.values()] for s in (one, other)]
    uids = [{i.sop_uid for i in s.images.values()} for s in (one, other)]
    assert pixels[0] == pixels[1]
    assert uids == [{f"{study}.{n}" for n in (1, 2, 3, 4)} for study in ("1.2.3", "1.2.4")]
    assert len(one.lesions) == 2


def test_its_patient_is_unmistakably_none() -> None:
    image = dcmread_bytes(next(iter(make_specimen("1.2.3").images.values())).content)

    assert (str(image.PatientName), image.PatientID) == ("SELF-TEST^DIB-MG^NO PATIENT", "DIBMG-SELFTEST")
    assert image.QualityControlSubject == "YES"


def dcmread_bytes(content: bytes) -> Any:
    return dcmread(BytesIO(content))
