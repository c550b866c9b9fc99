from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence

from dibmg_node.dicom import facts
from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.dicom.header import instance_of, is_uid, read_header, read_instance, read_received_header
from dibmg_node.dicom.part10 import part10_prefix
from dibmg_node.domain.study import ImageKind, Instance, Laterality, View, ViewModifier
from dibmg_node.errors import InstanceRejectedError
from tests.factories import STUDY_UID, code, mammogram, part10

PREFIX = part10_prefix(facts.MG_FOR_PRESENTATION, "1.2.3", facts.EXPLICIT_LE)
IMPLICIT_PREFIX = part10_prefix(facts.MG_FOR_PRESENTATION, "1.2.3", facts.IMPLICIT_LE)


def facts_of(dataset: FileDataset) -> Instance:
    """An instance as intake reads it: from bytes."""
    header = read_received_header(BytesIO(part10(dataset)))
    return read_instance(header, str(dataset.file_meta.TransferSyntaxUID))


def viewed(*codes: Dataset, **changes: object) -> FileDataset:
    sequence = DicomSequence(codes) if codes else None
    return mammogram(**{"ViewCodeSequence": sequence, "ViewPosition": None, **changes})


def test_an_ordinary_mammogram_is_read_in_every_fact() -> None:
    assert facts_of(mammogram()) == Instance(
        sop_uid=f"{STUDY_UID}.0.1",
        sop_class_uid=facts.MG_FOR_PRESENTATION,
        study_uid=STUDY_UID,
        series_uid=f"{STUDY_UID}.100",
        transfer_syntax_uid=facts.EXPLICIT_LE,
        kind=ImageKind.FOR_PRESENTATION,
        modality="MG",
        presentation_intent="FOR PRESENTATION",
        laterality=Laterality.RIGHT,
        view=View.CC,
        image_type=("ORIGINAL", "PRIMARY", ""),
        acquired_at="20260303101110",
        acquired_on="20260303",
        content_at="20260303101110",
        instance_number=1,
        rows=96,
        columns=64,
        orientation=("P", "L"),
        magnification=1.03,
        manufacturer="Maker",
        manufacturer_model="Unit 1",
        software_versions="1.0 2.0",
    )


@pytest.mark.parametrize(
    ("value", "scheme", "view"),
    [
        *((sct, "SCT", view) for sct, (view, _, _) in facts.VIEW_CODES.items()),
        *((srt, "SRT", view) for view, srt, _ in facts.VIEW_CODES.values()),
        *((srt, "SNM3", view) for view, srt, _ in facts.VIEW_CODES.values()),
    ],
)
def test_a_view_is_known_by_its_new_and_its_old_code(value: str, scheme: str, view: View) -> None:
    assert facts_of(viewed(code(value, scheme, "view"))).view is view


def test_codes_are_those_of_the_standards_own_tables() -> None:
    from pydicom.sr._snomed_dict import mapping

    pairs = [(srt, sct) for sct, (_, srt, _) in facts.VIEW_CODES.items()]
    pairs += [(srt, sct) for sct, (_, srt) in facts.MODIFIER_CODES.items()]
    assert [(srt, mapping["SRT"][srt]) for srt, _ in pairs] == pairs
    assert {view for view, _, _ in facts.VIEW_CODES.values()} == set(View)
    assert {modifier for modifier, _ in facts.MODIFIER_CODES.values()} == set(ViewModifier) - {
        ViewModifier.UNKNOWN
    }


@pytest.mark.parametrize(
    ("position", "view"), [("CC", View.CC), ("MLO", View.MLO), (" mlo ", View.MLO), ("ML", View.ML)]
)
def test_a_view_without_a_code_is_known_by_its_position(position: str, view: View) -> None:
    assert facts_of(viewed(ViewPosition=position)).view is view


def test_a_code_goes_before_a_position() -> None:
    assert facts_of(viewed(code("399368009", "SCT", "MLO"), ViewPosition="CC")).view is View.MLO


def test_a_code_that_nobody_knows_is_no_cc_whatever_the_position_says() -> None:
    assert facts_of(viewed(code("12345", "99X", "odd"), ViewPosition="CC")).view is None


@pytest.mark.parametrize("position", ["", "AP", "CC MLO", None])
def test_a_view_that_nobody_knows_is_none(position: str | None) -> None:
    assert facts_of(viewed(ViewPosition=position)).view is None


@pytest.mark.parametrize(
    ("value", "modifier"),
    [(value, modifier) for sct, (modifier, srt) in facts.MODIFIER_CODES.items() for value in (sct, srt)],
)
@pytest.mark.parametrize("nested", [True, False])
def test_a_view_modifier_is_known_by_its_codes_nested_or_not(
    value: str, modifier: ViewModifier, nested: bool
) -> None:
    view = code("399162004", "SCT", "cranio-caudal")
    dataset = viewed(view)
    target = dataset.ViewCodeSequence[0] if nested else dataset
    target.ViewModifierCodeSequence = DicomSequence([code(value, "SCT", "modifier")])

    assert facts_of(dataset).modifiers == (modifier,)


def test_a_modifier_that_nobody_knows_is_unknown_and_an_empty_item_is_none() -> None:
    view = code("399162004", "SCT", "cranio-caudal")
    view.ViewModifierCodeSequence = DicomSequence([code("1", "99X", "odd"), Dataset()])

    assert facts_of(viewed(view)).modifiers == (ViewModifier.UNKNOWN,)


@pytest.mark.parametrize(
    ("changes", "laterality"),
    [
        ({"ImageLaterality": "R"}, Laterality.RIGHT),
        ({"ImageLaterality": "L", "Laterality": "R"}, Laterality.LEFT),
        ({"ImageLaterality": None, "Laterality": "L"}, Laterality.LEFT),
        ({"ImageLaterality": "", "Laterality": "L"}, Laterality.LEFT),
        ({"ImageLaterality": "B"}, Laterality.BOTH),
        ({"ImageLaterality": "U"}, None),
        ({"ImageLaterality": None}, None),
    ],
)
def test_the_side_is_that_of_the_image_else_of_the_series(
    changes: dict[str, str | None], laterality: Laterality | None
) -> None:
    assert facts_of(mammogram(**changes)).laterality is laterality


@pytest.mark.parametrize(("value", "laterality"), facts.LATERALITY_BY_CODE.items())
@pytest.mark.parametrize("modifier", [True, False])
def test_a_side_may_be_told_by_the_code_of_the_region(
    value: str, laterality: Laterality, modifier: bool
) -> None:
    region = code("76752008", "SCT", "Breast") if modifier else code(value, "SCT", "region")
    if modifier:
        region.AnatomicRegionModifierSequence = DicomSequence([code(value, "SCT", "side")])

    read = facts_of(mammogram(ImageLaterality=None, AnatomicRegionSequence=DicomSequence([region])))

    assert read.laterality is laterality


@pytest.mark.parametrize(
    ("sop_class", "kind", "intent"),
    [
        (facts.MG_FOR_PRESENTATION, ImageKind.FOR_PRESENTATION, "FOR PRESENTATION"),
        (facts.MG_FOR_PROCESSING, ImageKind.FOR_PROCESSING, "FOR PROCESSING"),
        (facts.TOMOSYNTHESIS, ImageKind.TOMOSYNTHESIS, ""),
        (facts.PROJECTION_FOR_PRESENTATION, ImageKind.PROJECTION, ""),
        (facts.SECONDARY_CAPTURE, ImageKind.SECONDARY_CAPTURE, ""),
        (facts.MAMMOGRAPHY_CAD_SR, ImageKind.OTHER, ""),
        ("1.2.3.4.5", ImageKind.OTHER, ""),
    ],
)
def test_an_instance_is_what_its_class_says(sop_class: str, kind: ImageKind, intent: str) -> None:
    read = facts_of(mammogram(SOPClassUID=sop_class, PresentationIntentType=None))

    assert (read.kind, read.presentation_intent) == (kind, intent)


@pytest.mark.parametrize(
    ("changes", "acquired_at"),
    [
        ({"AcquisitionDateTime": "20260303101112.123456+0100"}, "20260303101112.123456"),
        ({"AcquisitionDateTime": "20260303101112"}, "20260303101112"),
        ({"AcquisitionDateTime": "20260303", "AcquisitionTime": "101112"}, "20260303101112"),
        ({"AcquisitionDateTime": "Erika, in March", "AcquisitionTime": "at ten"}, "20260303101110"),
        ({"AcquisitionTime": None, "ContentTime": "101500"}, "20260303101500"),
        ({"AcquisitionTime": None, "ContentTime": None}, "20260303101000"),
        (
            {
                "AcquisitionDate": "20260302",
                "AcquisitionTime": None,
                "ContentTime": None,
                "SeriesTime": None,
                "StudyTime": None,
            },
            "20260302",
        ),
        (
            {
                "AcquisitionDateTime": "20260301",
                "AcquisitionTime": None,
                "ContentTime": None,
                "SeriesTime": None,
                "StudyTime": None,
            },
            "20260301",
        ),
        ({}, "20260303101110"),
        ({"AcquisitionDate": None}, "20260303101110"),
        ({"AcquisitionDate": None, "ContentDate": None, "SeriesDate": None}, "20260303101000"),
        (
            {"AcquisitionDate": None, "ContentDate": None, "SeriesDate": None, "StudyDate": None},
            "",
        ),
    ],
)
def test_the_time_of_an_image_is_the_closest_to_its_acquisition(
    changes: dict[str, str | None], acquired_at: str
) -> None:
    assert facts_of(mammogram(**changes)).acquired_at == acquired_at


@pytest.mark.parametrize(
    ("changes", "content_at"),
    [
        ({"ContentTime": "102500.5"}, "20260303102500.5"),
        ({"ContentTime": None}, ""),
        ({"ContentDate": None}, ""),
        ({"ContentTime": "at ten"}, ""),
    ],
)
def test_the_time_of_an_images_content_is_date_and_time_or_nothing(
    changes: dict[str, str | None], content_at: str
) -> None:
    assert facts_of(mammogram(**changes)).content_at == content_at


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"PartialView": "YES"}, "partial_view"),
        ({"BreastImplantPresent": "YES"}, "implant_present"),
        ({"BurnedInAnnotation": "YES"}, "burned_in"),
        ({"ImageType": ["DERIVED", "PRIMARY", "CAD"]}, "burned_in"),
        ({"QualityControlImage": "YES"}, "quality_control"),
        ({"PatientName": "ACR^Phantom"}, "quality_control"),
        ({"PatientID": "QC"}, "quality_control"),
        ({"PatientName": "QA^WEEKLY"}, "quality_control"),
        ({"LossyImageCompression": "01"}, "lossy"),
    ],
)
def test_what_speaks_against_an_image_is_found(changes: dict[str, object], fact: str) -> None:
    assert getattr(facts_of(mammogram(**changes)), fact) is True


@pytest.mark.parametrize("changes", [{"PatientName": "Phantomas^Qcarl"}, {"PatientID": "AQC12"}])
def test_a_patient_is_no_phantom_for_letters_in_her_name(changes: dict[str, str]) -> None:
    assert facts_of(mammogram(**changes)).quality_control is False


@pytest.mark.parametrize("syntax", [facts.JPEG_BASELINE, facts.JPEG_2000, facts.JPEG_LS_NEAR_LOSSLESS])
def test_a_lossy_syntax_is_lossy_whatever_the_header_says(syntax: str) -> None:
    bits = 8 if syntax == facts.JPEG_BASELINE else 12

    assert facts_of(mammogram(bits=bits, transfer_syntax_uid=syntax)).lossy is True


def test_an_instance_with_nothing_but_its_uids_is_read() -> None:
    bare = Dataset()
    bare.SOPClassUID, bare.SOPInstanceUID, bare.StudyInstanceUID = facts.MG_FOR_PRESENTATION, "1.2", "1.3"
    bare.file_meta = mammogram().file_meta

    read = facts_of(bare)  # type: ignore[arg-type]

    assert (read.laterality, read.view, read.rows, read.frames, read.modality) == (None, None, 0, 1, "")


@pytest.mark.parametrize("name", ["StudyInstanceUID", "SOPInstanceUID", "SOPClassUID"])
@pytest.mark.parametrize(
    "value", [None, "", "abc", "1", "1.", ".1", "1..2", "1.2.a", "../../etc", "1." + "2" * 63, "1.2\\1.3"]
)
def test_a_uid_that_is_none_is_a_mismatch_with_its_tag(name: str, value: str | None) -> None:
    header = mammogram(**{name: value})
    expected = {"StudyInstanceUID": 0x0020000D, "SOPInstanceUID": 0x00080018, "SOPClassUID": 0x00080016}

    with pytest.raises(InstanceRejectedError, match=f"{name} is (missing|not a UID)") as caught:
        read_instance(header, facts.EXPLICIT_LE)

    assert (caught.value.status, caught.value.offending_element) == (
        StoreStatus.DATA_SET_MISMATCH,
        expected[name],
    )


@pytest.mark.parametrize(
    ("text", "good"), [("1.2", True), ("2.25." + "9" * 39, True), ("1." + "2" * 62, True)]
)
def test_a_uid_has_up_to_64_digits_and_dots(text: str, good: bool) -> None:
    assert is_uid(text) is good
    assert not is_uid(text + "\n")


def element(group: int, number: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    value += b" " * (len(value) % 2)
    if vr in (b"SQ", b"OB", b"UC", b"UT", b"UN"):
        length = len(value) if length is None else length
        return struct.pack("<HH2sHI", group, number, vr, 0, length) + value
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


UIDS = element(8, 0x16, b"UI", facts.MG_FOR_PRESENTATION.encode()) + element(8, 0x18, b"UI", b"1.2.30")
STUDY = element(0x20, 0x0D, b"UI", b"1.2.40")


def nested(depth: int, defined: bool) -> bytes:
    """A sequence in a sequence in …, of defined or undefined length."""
    if defined:
        inner = b""
        for _ in range(depth):
            item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
            inner = struct.pack("<HH2sHI", 0x54, 0x220, b"SQ", 0, len(item)) + item
        return inner
    start = struct.pack("<HH2sHI", 0x54, 0x220, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return start * depth + end * depth


@pytest.mark.parametrize("depth", [1000, 40_000])
def test_deep_nesting_is_not_understood(depth: int) -> None:
    with pytest.raises(InstanceRejectedError, match="RecursionError") as caught:
        read_received_header(BytesIO(PREFIX + UIDS + STUDY + nested(depth, defined=False)))

    assert caught.value.status == StoreStatus.CANNOT_UNDERSTAND


@pytest.mark.parametrize("depth", [1000, 5000])
def test_deep_nesting_of_defined_length_is_refused_or_read_and_no_crash(depth: int) -> None:
    header = read_received_header(BytesIO(PREFIX + UIDS + STUDY + nested(depth, defined=True)))

    assert read_instance(header, facts.EXPLICIT_LE).study_uid == "1.2.40"


@pytest.mark.parametrize("content", [b"", b"\x08", b"\x08\x00\x16\x00UI\xff\x7f1.2", b"\xff" * 64])
def test_bytes_that_are_no_data_set_are_not_understood(content: bytes) -> None:
    with pytest.raises(InstanceRejectedError) as caught:
        read_instance(read_received_header(BytesIO(PREFIX + content)), facts.EXPLICIT_LE)

    assert caught.value.status in (StoreStatus.CANNOT_UNDERSTAND, StoreStatus.DATA_SET_MISMATCH)


@settings(max_examples=300, deadline=None)
@given(
    garbage=st.binary(max_size=400), prefix=st.sampled_from([PREFIX, IMPLICIT_PREFIX]), behind=st.booleans()
)
def test_whatever_bytes_come_they_are_read_or_rejected(garbage: bytes, prefix: bytes, behind: bool) -> None:
    content = prefix + (UIDS + STUDY if behind else b"") + garbage

    try:
        read_instance(read_received_header(BytesIO(content)), facts.EXPLICIT_LE)
    except InstanceRejectedError as error:
        assert error.status in (StoreStatus.CANNOT_UNDERSTAND, StoreStatus.DATA_SET_MISMATCH)


@settings(max_examples=150, deadline=None)
@given(places=st.lists(st.tuples(st.floats(0, 0.99), st.integers(0, 255)), min_size=1, max_size=5))
def test_a_mammogram_with_flipped_bytes_is_read_or_rejected(places: list[tuple[float, int]]) -> None:
    content = bytearray(HEADER_BYTES)
    for place, value in places:
        content[len(PREFIX) + int(place * (len(content) - len(PREFIX)))] = value

    try:
        read_instance(read_received_header(BytesIO(bytes(content))), facts.EXPLICIT_LE)
    except InstanceRejectedError as error:
        assert error.status in (StoreStatus.CANNOT_UNDERSTAND, StoreStatus.DATA_SET_MISMATCH)


HEADER_BYTES = part10(mammogram())


JUNK: list[tuple[int, int, bytes, bytes, str, Any]] = [
    (0x20, 0x13, b"IS", b"seven", "instance_number", 0),
    (0x20, 0x13, b"IS", b"1.5", "instance_number", 0),
    (0x28, 0x08, b"IS", b"many", "frames", 1),
    (0x28, 0x10, b"US", b"", "rows", 0),
    (0x18, 0x1114, b"DS", b"big", "magnification", None),
    (0x20, 0x62, b"CS", b"X", "laterality", None),
    (0x54, 0x220, b"SQ", b"junk", "view", None),
    (0x18, 0x5101, b"CS", b"\xff\xfe", "view", None),
]


@pytest.mark.parametrize(("group", "number", "vr", "value", "fact", "expected"), JUNK)
def test_junk_in_an_optional_attribute_counts_as_absent(
    group: int, number: int, vr: bytes, value: bytes, fact: str, expected: object
) -> None:
    parts = {(8, 0): UIDS, (0x20, 0x0D): STUDY, (group, number): element(group, number, vr, value)}
    content = b"".join(part for _, part in sorted(parts.items()))

    read = read_instance(read_received_header(BytesIO(PREFIX + content)), facts.EXPLICIT_LE)

    assert getattr(read, fact) == expected


@pytest.mark.parametrize("read", [read_header, read_received_header])
def test_a_header_ends_before_its_pixels(read: Callable[[BytesIO], FileDataset]) -> None:
    assert "PixelData" not in read(BytesIO(part10(mammogram())))


def test_what_stands_between_header_and_pixels_is_not_parsed() -> None:
    content = PREFIX + UIDS + STUDY + element(0x7E01, 0x1010, b"SQ", b"", length=0xFFFFFFFF) + b"no item"

    assert read_instance(read_received_header(BytesIO(content)), facts.EXPLICIT_LE).study_uid == "1.2.40"


def test_a_value_longer_than_any_fact_counts_as_absent() -> None:
    long = element(8, 0x70, b"UC", b"x" * 2**17)

    header = read_received_header(BytesIO(PREFIX + UIDS + long + STUDY))

    assert read_instance(header, facts.EXPLICIT_LE).manufacturer == ""


def many_elements(number: int) -> bytes:
    return b"".join(element(9, n % 0xFFFF, b"LO", b"") for n in range(number))


def many_items(number: int, group: int = 9, tag: int = 1) -> bytes:
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * number + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return element(group, tag, b"SQ", b"", length=0xFFFFFFFF) + items


def long_items(number: int) -> bytes:
    item = element(9, 2, b"OB", b"x" * 2**20)
    items = (struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item) * number
    return element(9, 1, b"SQ", b"", length=0xFFFFFFFF) + items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


@pytest.mark.parametrize(
    ("make", "number"), [(many_elements, 500_000), (many_items, 500_000), (long_items, 40)]
)
def test_a_header_larger_than_any_mammograms_is_refused(make: Callable[[int], bytes], number: int) -> None:
    with pytest.raises(InstanceRejectedError, match="more elements or bytes") as caught:
        read_received_header(BytesIO(PREFIX + UIDS + make(number) + STUDY))

    assert caught.value.status == StoreStatus.CANNOT_UNDERSTAND


@pytest.mark.parametrize(("make", "number"), [(many_elements, 20_000), (many_items, 20_000), (long_items, 8)])
def test_a_header_as_large_as_a_tomosynthesis_is_read(make: Callable[[int], bytes], number: int) -> None:
    header = read_received_header(BytesIO(PREFIX + UIDS + make(number) + STUDY))

    assert read_instance(header, facts.EXPLICIT_LE).study_uid == "1.2.40"


def test_the_content_of_a_report_may_be_as_large_as_it_is() -> None:
    content = PREFIX + UIDS + STUDY + many_items(500_000, 0x40, 0xA730)

    header = read_received_header(BytesIO(content))

    assert read_instance(header, facts.EXPLICIT_LE).study_uid == "1.2.40"


def test_facts_hold_no_patient() -> None:
    from tests.factories import CANARY

    assert CANARY.split("^", maxsplit=1)[0] not in repr(facts_of(mammogram()))


@pytest.mark.parametrize("patient_id", ["QC123456", "QC-2026-17", "QA.77"])
def test_a_prefix_of_a_site_makes_no_phantom_of_its_patients(patient_id: str) -> None:
    assert facts_of(mammogram(PatientID=patient_id)).quality_control is False


def test_a_uid_with_leading_zeros_is_taken() -> None:
    assert is_uid("1.2.0840.007")


@pytest.mark.parametrize(
    ("changes", "day"),
    [
        ({"AcquisitionDateTime": "20260302235959.5", "AcquisitionDate": "20260303"}, "20260302"),
        ({"AcquisitionDate": "20260301", "AcquisitionTime": "", "ContentDate": "20260410"}, "20260301"),
        ({"AcquisitionDate": "", "AcquisitionDateTime": "2026", "ContentDate": "20260410"}, ""),
        ({"AcquisitionDate": "Anna"}, ""),
    ],
)
def test_the_day_of_acquisition_is_none_of_processing(changes: dict[str, str], day: str) -> None:
    dataset = mammogram()
    for name, value in changes.items():
        with warnings.catch_warnings(action="ignore"):
            setattr(dataset, name, value)

    assert instance_of(dataset).acquired_on == day
