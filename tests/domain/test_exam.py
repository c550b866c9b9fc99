from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dibmg_node.dicom import facts
from dibmg_node.domain.exam import has_standard_views, select_exam
from dibmg_node.domain.policy import ExamMinimum, ExamPolicy, ImplantPolicy
from dibmg_node.domain.study import (
    STANDARD_VIEWS,
    Exclusion,
    ExclusionCode,
    ImageKind,
    Instance,
    Laterality,
    View,
    ViewKey,
    ViewModifier,
)
from tests.factories import L_CC, L_MLO, R_CC, R_MLO, STUDY_UID, instance, screening, sop_uid

READ_IMPLANTS = ExamPolicy(implants=ImplantPolicy.READ)
ONE_VIEW = ExamPolicy(minimum=ExamMinimum.ONE_VIEW)
FOUR_VIEWS = ExamPolicy(minimum=ExamMinimum.FOUR_VIEWS)

EXCLUDED: list[tuple[dict[str, Any], ExclusionCode, str]] = [
    ({"kind": ImageKind.OTHER, "modality": "CR"}, ExclusionCode.NOT_AN_IMAGE, "not a mammogram"),
    ({"kind": ImageKind.OTHER, "rows": 0}, ExclusionCode.NOT_AN_IMAGE, "not a mammogram"),
    (
        {"kind": ImageKind.OTHER, "sop_class_uid": facts.COMPUTED_RADIOGRAPHY},
        ExclusionCode.SOP_CLASS_NOT_READ,
        f"image of modality MG, but of SOP class {facts.COMPUTED_RADIOGRAPHY}: expected Digital Mammography",
    ),
    ({"kind": ImageKind.TOMOSYNTHESIS, "frames": 60}, ExclusionCode.TOMOSYNTHESIS, "2D mammograms only"),
    ({"kind": ImageKind.PROJECTION, "frames": 15}, ExclusionCode.PROJECTION, "tomosynthesis"),
    ({"kind": ImageKind.SECONDARY_CAPTURE}, ExclusionCode.SECONDARY_CAPTURE, "Secondary Capture"),
    ({"kind": ImageKind.FOR_PROCESSING}, ExclusionCode.FOR_PROCESSING, "raw"),
    ({"presentation_intent": "FOR PROCESSING"}, ExclusionCode.FOR_PROCESSING, "For Presentation images only"),
    ({"modality": "CR"}, ExclusionCode.NOT_MAMMOGRAPHY, "modality is CR, expected MG"),
    ({"modality": ""}, ExclusionCode.NOT_MAMMOGRAPHY, "modality is missing, expected MG"),
    ({"quality_control": True}, ExclusionCode.QUALITY_CONTROL, "phantom"),
    ({"frames": 2}, ExclusionCode.MULTI_FRAME, "2 frames, expected one"),
    ({"frames": 0}, ExclusionCode.MULTI_FRAME, "0 frames, expected one"),
    (
        {"image_type": ("DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D")},
        ExclusionCode.SYNTHESIZED_2D,
        "synthesized",
    ),
    ({"image_type": ("DERIVED", "PRIMARY", "TOMO_2D")}, ExclusionCode.SYNTHESIZED_2D, "synthesized"),
    ({"image_type": ("DERIVED", "PRIMARY", "TOMO")}, ExclusionCode.SYNTHESIZED_2D, "acquired mammogram"),
    ({"image_type": ("DERIVED", "PRIMARY", "", "SUBTRACTION")}, ExclusionCode.SUBTRACTED, "plain mammogram"),
    ({"image_type": ("DERIVED", "PRIMARY", "RECOMBINED")}, ExclusionCode.SUBTRACTED, "contrast"),
    ({"burned_in": True}, ExclusionCode.BURNED_IN, "burned into the pixels"),
    ({"view": View.SPECIMEN}, ExclusionCode.SPECIMEN, "specimen radiograph: expected a breast"),
    ({"laterality": None}, ExclusionCode.LATERALITY_UNKNOWN, "laterality is missing, expected R or L"),
    ({"laterality": Laterality.BOTH}, ExclusionCode.LATERALITY_UNKNOWN, "laterality is B, expected R or L"),
    ({"view": None}, ExclusionCode.VIEW_UNKNOWN, "expected CC or MLO"),
    *(
        (
            {"view": view},
            ExclusionCode.VIEW_NOT_STANDARD,
            f"{view.value} view: the model reads CC and MLO only",
        )
        for view in View
        if view not in (View.CC, View.MLO, View.SPECIMEN)
    ),
    *(
        (
            {"modifiers": (modifier,)},
            ExclusionCode.VIEW_MODIFIED,
            f"view modifier {modifier.value}: expected the plain projection",
        )
        for modifier in ViewModifier
        if modifier
        not in (
            ViewModifier.IMPLANT_DISPLACED,
            ViewModifier.NIPPLE_IN_PROFILE,
            ViewModifier.INFRA_MAMMARY_FOLD,
        )
    ),
    ({"magnification": 1.5}, ExclusionCode.MAGNIFIED, "magnified 1.50 times: expected a contact view"),
    ({"partial_view": True}, ExclusionCode.PARTIAL_VIEW, "expected the whole breast"),
    *(
        (
            {"orientation": orientation},
            ExclusionCode.ON_ITS_SIDE,
            rf"Patient Orientation {orientation[0]}\{orientation[1]}, expected the chest wall on the left or",
        )
        for orientation in (("F", "A"), ("HR", "P"), ("L", "A"), ("R", "P"))
    ),
]


def codes(instances: list[Instance], policy: ExamPolicy = ExamPolicy()) -> list[str]:
    return [verdict.code for verdict in select_exam(STUDY_UID, instances, policy).verdicts]


def read_uids(instances: list[Instance], policy: ExamPolicy = ExamPolicy()) -> list[str]:
    selection = select_exam(STUDY_UID, instances, policy)
    return [i.sop_uid for i in selection.exam.views.values()] if selection.exam else []


@pytest.mark.parametrize(
    "orientation",
    [
        ("A", "R"),
        ("P", "FL"),
        ("P", "H"),
        ("L", "F"),
        ("A",),
        ("", ""),
        ("F", "anterior"),
        ("CC", "A"),
        ("F", "A", "A"),
    ],
)
def test_an_orientation_that_states_no_quarter_turn_keeps_no_image_out(orientation: tuple[str, ...]) -> None:
    assert codes([instance(R_CC, orientation=orientation)], ExamPolicy(minimum=ExamMinimum.ONE_VIEW)) == [
        "USED"
    ]


def only(*views: ViewKey) -> list[Instance]:
    return [instance(view) for view in views]


def test_the_four_standard_views_are_read_in_the_order_of_the_paper() -> None:
    selection = select_exam(STUDY_UID, screening()[::-1])

    assert selection.exam is not None
    assert tuple(selection.exam.views) == STANDARD_VIEWS
    assert (selection.exam.study_uid, selection.reason, selection.exclusions) == (STUDY_UID, "", ())


def test_an_image_that_is_read_says_as_what() -> None:
    verdicts = select_exam(STUDY_UID, screening()).verdicts

    assert [verdict.sentence for verdict in verdicts] == [
        "read as R-CC",
        "read as L-CC",
        "read as R-MLO",
        "read as L-MLO",
    ]


@pytest.mark.parametrize(("changes", "code", "words"), EXCLUDED)
def test_an_image_that_the_model_does_not_read_is_left_out_with_its_reason(
    changes: dict[str, Any], code: ExclusionCode, words: str
) -> None:
    odd = instance(R_CC, **changes)

    selection = select_exam(STUDY_UID, [odd, *screening()[1:]])

    verdict = selection.verdicts[0]
    assert (verdict.sop_uid, verdict.used, verdict.code) == (odd.sop_uid, False, code)
    assert words in verdict.sentence
    assert selection.exam is not None
    assert set(selection.exam.views) == {L_CC, L_MLO}
    assert selection.reason == "missing views: R-CC"


@pytest.mark.parametrize(
    "changes",
    [
        {"presentation_intent": ""},
        {"modifiers": (ViewModifier.NIPPLE_IN_PROFILE, ViewModifier.INFRA_MAMMARY_FOLD)},
        {"magnification": 1.1},
        {"magnification": 1.2},
        {"magnification": None},
        {"magnification": 0.0},
        {"image_type": ()},
        {"image_type": ("DERIVED", "PRIMARY")},
        {"lossy": True},
        {"manufacturer": "", "series_uid": "", "acquired_at": ""},
    ],
)
def test_what_changes_nothing_of_the_projection_is_read(changes: dict[str, Any]) -> None:
    assert codes([instance(R_CC, **changes), *screening()[1:]]) == ["USED"] * 4


def test_every_code_of_an_image_has_a_test() -> None:
    elsewhere = {
        ExclusionCode.IMPLANT,
        ExclusionCode.SERIES_UNKNOWN,
        ExclusionCode.RETAKEN,
        ExclusionCode.EARLIER_EXAM,
        ExclusionCode.BREAST_INCOMPLETE,
        ExclusionCode.MISSING_VIEWS,
        ExclusionCode.NO_MAMMOGRAM,
        ExclusionCode.SYNTAX_NOT_DECODED,
        ExclusionCode.PIXELS_UNREADABLE,
        ExclusionCode.NO_BREAST,
        ExclusionCode.PATIENT_DIFFERS,
    }

    assert {code for _, code, _ in EXCLUDED} | elsewhere == set(ExclusionCode)


def test_the_newest_acquisition_of_a_view_is_read_and_the_others_are_reported() -> None:
    takes = [
        instance(R_CC, sop_uid=f"1.2.{second}", acquired_at=f"202603031011{second}")
        for second in (30, 10, 20)
    ]

    selection = select_exam(STUDY_UID, [*takes, *screening()[1:]])

    assert [v.code for v in selection.verdicts[:3]] == ["USED", "RETAKEN", "RETAKEN"]
    assert selection.verdicts[1].sentence == (
        "another image of R-CC is read instead: the newest acquisition counts"
    )


def test_of_one_acquisition_the_image_that_was_made_last_is_read_whatever_number_and_uid() -> None:
    sent = instance(R_CC, sop_uid="1.2.9", content_at="20260303101110", instance_number=2)
    processed_again = instance(R_CC, sop_uid="1.2.10", content_at="20260303102500", instance_number=1)

    selection = select_exam(STUDY_UID, [processed_again, sent, *screening()[1:]])

    assert [v.code for v in selection.verdicts[:2]] == ["USED", "RETAKEN"]
    assert selection.verdicts[1].sentence == (
        "another image of R-CC is read instead: of one acquisition the newest image counts"
    )


def test_images_of_one_moment_are_told_apart_by_number_and_then_by_uid() -> None:
    first = instance(R_CC, sop_uid="1.2.9", instance_number=1)
    second = instance(R_CC, sop_uid="1.2.1", instance_number=2)
    third = instance(R_CC, sop_uid="1.2.2", instance_number=2)

    selection = select_exam(STUDY_UID, [second, third, first, *screening()[1:]])

    assert [v.code for v in selection.verdicts[:3]] == ["RETAKEN", "USED", "RETAKEN"]
    assert {v.sentence for v in selection.verdicts[:3] if not v.used} == {
        "another image of R-CC is read instead: no time tells which is newer, Instance Number and UID decide"
    }


def test_the_order_of_the_instances_changes_nothing() -> None:
    takes = [instance(R_CC, sop_uid=f"1.2.{n}", acquired_at=f"2026030310111{n}") for n in range(4)]

    assert read_uids([*takes, *screening()[1:]]) == read_uids([*screening()[1:], *takes[::-1]])


def test_an_excluded_retake_leaves_the_older_image() -> None:
    spot = instance(R_CC, sop_uid="1.2.9", acquired_at="20270101", modifiers=(ViewModifier.SPOT_COMPRESSION,))

    assert codes([*screening(), spot]) == ["USED"] * 4 + ["VIEW_MODIFIED"]


def test_an_older_image_takes_the_place_of_an_unreadable_one() -> None:
    newer = instance(R_CC, sop_uid="1.2.9", acquired_at="20260304")
    reason = Exclusion(ExclusionCode.PIXELS_UNREADABLE, "torn", newer.sop_uid, Laterality.RIGHT)

    selection = select_exam(STUDY_UID, [*screening(), newer], unreadable={newer.sop_uid: reason})

    assert selection.exam is not None
    assert selection.exam.views[R_CC].sop_uid == sop_uid(R_CC)
    assert (selection.verdicts[-1].code, selection.verdicts[-1].sentence) == ("PIXELS_UNREADABLE", "torn")


def test_an_unreadable_image_is_reported_as_such_even_where_a_rule_applies() -> None:
    reason = Exclusion(ExclusionCode.PATIENT_DIFFERS, "two patients", sop_uid(R_CC))

    selection = select_exam(
        STUDY_UID, [instance(R_CC, partial_view=True)], unreadable={sop_uid(R_CC): reason}
    )

    assert selection.verdicts[0].code == "PATIENT_DIFFERS"


@pytest.mark.parametrize(
    ("views", "missing"), [((R_CC, R_MLO), "L-CC, L-MLO"), ((L_CC, L_MLO), "R-CC, R-MLO")]
)
def test_one_breast_with_both_views_is_read_by_default(views: tuple[ViewKey, ...], missing: str) -> None:
    selection = select_exam(STUDY_UID, only(*views))

    assert selection.exam is not None
    assert tuple(selection.exam.views) == views
    (exclusion,) = selection.exclusions
    assert (exclusion.code, exclusion.sentence) == ("BREAST_INCOMPLETE", f"missing views: {missing}")
    assert exclusion.laterality not in {view.laterality for view in views}


def test_a_breast_without_its_mlo_is_left_out_and_the_other_read() -> None:
    selection = select_exam(STUDY_UID, only(R_CC, L_CC, R_MLO))

    assert [v.code for v in selection.verdicts] == ["USED", "BREAST_INCOMPLETE", "USED"]
    assert selection.verdicts[1].sentence == "the breast is not read: missing views: L-MLO"
    assert selection.reason == "missing views: L-MLO"


def test_a_study_without_a_whole_breast_is_not_read_and_says_what_is_missing() -> None:
    selection = select_exam(STUDY_UID, only(R_CC, L_MLO))

    assert selection.exam is None
    assert selection.reason == "missing views: L-CC, R-MLO"
    assert [e.code for e in selection.exclusions] == [ExclusionCode.MISSING_VIEWS]


@pytest.mark.parametrize("missing", STANDARD_VIEWS)
def test_with_four_views_demanded_a_missing_view_rejects_the_study_and_says_which(missing: ViewKey) -> None:
    instances = only(*(view for view in STANDARD_VIEWS if view != missing))

    selection = select_exam(STUDY_UID, instances, FOUR_VIEWS)

    assert selection.exam is None
    assert selection.reason == f"missing views: {missing}"
    assert {v.code for v in selection.verdicts} == {"MISSING_VIEWS"}
    assert {v.sentence for v in selection.verdicts} == {f"missing views: {missing}"}


def test_with_four_views_demanded_four_views_are_read() -> None:
    assert len(read_uids(screening(), FOUR_VIEWS)) == 4


def test_with_one_view_demanded_any_view_is_read_and_the_others_are_named() -> None:
    selection = select_exam(STUDY_UID, only(L_MLO), ONE_VIEW)

    assert selection.exam is not None
    assert tuple(selection.exam.views) == (L_MLO,)
    assert selection.reason == "missing views: R-CC, R-MLO; missing views: L-CC"


@pytest.mark.parametrize(
    "tells",
    [
        {"implant_present": True},
        {"modifiers": (ViewModifier.IMPLANT_DISPLACED,)},
        {"implant_present": True, "kind": ImageKind.FOR_PROCESSING},
    ],
)
def test_one_image_that_tells_of_an_implant_takes_out_every_image_of_its_breast(
    tells: dict[str, Any],
) -> None:
    telling = instance(R_CC, sop_uid="1.2.9", **tells)

    selection = select_exam(STUDY_UID, [*screening(), telling])

    assert [verdict.code for verdict in selection.verdicts[:4]] == ["IMPLANT", "USED", "IMPLANT", "USED"]
    assert selection.verdicts[0].sentence == (
        "breast implant, as another image of this breast tells: expected a breast without"
    )
    assert selection.reason == "missing views: R-CC, R-MLO"


def test_an_implant_takes_out_its_own_breast_only() -> None:
    instances = [replace(i, implant_present=i.laterality is Laterality.RIGHT) for i in screening()]

    assert codes(instances) == ["IMPLANT", "USED", "IMPLANT", "USED"]


def test_where_implants_are_read_the_displaced_views_are_taken() -> None:
    ordinary = [replace(i, implant_present=True, acquired_at="2027") for i in screening()]
    displaced = [
        replace(
            i, sop_uid=f"{i.sop_uid}.9", implant_present=True, modifiers=(ViewModifier.IMPLANT_DISPLACED,)
        )
        for i in screening()
    ]

    selection = select_exam(STUDY_UID, [*ordinary, *displaced], READ_IMPLANTS)

    assert [v.code for v in selection.verdicts] == ["RETAKEN"] * 4 + ["USED"] * 4
    assert selection.verdicts[0].sentence == (
        "another image of R-CC is read instead: the implant displaced view counts"
    )


def test_where_implants_are_read_ordinary_views_are_taken_without_displaced_ones() -> None:
    assert codes([replace(i, implant_present=True) for i in screening()], READ_IMPLANTS) == ["USED"] * 4


def test_where_implants_are_read_a_spot_of_a_displaced_view_is_still_none() -> None:
    modifiers = (ViewModifier.IMPLANT_DISPLACED, ViewModifier.SPOT_COMPRESSION)

    assert codes([instance(R_CC, modifiers=modifiers)], READ_IMPLANTS) == ["VIEW_MODIFIED"]


def test_a_study_without_instances_says_so() -> None:
    selection = select_exam(STUDY_UID, [])

    assert (selection.exam, selection.verdicts, selection.reason) == (None, (), "no image in the study")


def test_a_study_without_any_mammogram_counts_what_it_has() -> None:
    instances = [
        *(replace(i, kind=ImageKind.FOR_PROCESSING) for i in screening()),
        instance(sop_uid="1.2.9", kind=ImageKind.OTHER, modality="SR"),
    ]

    selection = select_exam(STUDY_UID, instances)

    assert selection.exclusions[0].code is ExclusionCode.NO_MAMMOGRAM
    assert selection.reason == (
        "no mammogram that the model can read: "
        "4 x for processing (raw): the model reads For Presentation images only; "
        "1 x not a mammogram: another object of the study"
    )


def test_four_views_are_complete_only_when_each_may_be_read() -> None:
    assert has_standard_views(screening())
    assert not has_standard_views(screening()[:3])
    assert not has_standard_views([*screening()[:3], instance(L_MLO, partial_view=True)])
    assert has_standard_views([*screening(), instance(sop_uid="1.9", kind=ImageKind.OTHER)])
    assert not has_standard_views([replace(i, implant_present=True) for i in screening()])
    assert has_standard_views([replace(i, implant_present=True) for i in screening()], READ_IMPLANTS)


ANY_INSTANCE = st.builds(
    instance,
    laterality=st.sampled_from([None, *Laterality]),
    view=st.sampled_from([None, View.CC, View.MLO, View.ML, View.SPECIMEN]),
    kind=st.sampled_from([ImageKind.FOR_PRESENTATION] * 4 + list(ImageKind)),
    modality=st.sampled_from(["MG", "MG", "", "OT"]),
    modifiers=st.lists(st.sampled_from(list(ViewModifier)), max_size=2).map(tuple),
    image_type=st.lists(st.sampled_from(["ORIGINAL", "TOMO", "SUBTRACTION", ""]), max_size=3).map(tuple),
    frames=st.integers(0, 3),
    acquired_at=st.sampled_from(["", "2025", "2026"]),
    content_at=st.sampled_from(["", "2025", "2026"]),
    implant_present=st.booleans(),
    partial_view=st.booleans(),
    magnification=st.none() | st.floats(),
)


@settings(max_examples=300, deadline=None)
@given(
    instances=st.lists(ANY_INSTANCE, max_size=9),
    minimum=st.sampled_from(list(ExamMinimum)),
    implants=st.sampled_from(list(ImplantPolicy)),
    unreadable=st.sets(st.integers(0, 8)),
)
def test_every_instance_has_one_verdict_and_what_is_used_is_what_is_read(
    instances: list[Instance], minimum: ExamMinimum, implants: ImplantPolicy, unreadable: set[int]
) -> None:
    instances = [replace(one, sop_uid=f"1.2.{n}") for n, one in enumerate(instances)]
    torn = {f"1.2.{n}": Exclusion(ExclusionCode.PIXELS_UNREADABLE, "torn", f"1.2.{n}") for n in unreadable}

    selection = select_exam(STUDY_UID, instances, ExamPolicy(minimum, implants), torn)

    assert [v.sop_uid for v in selection.verdicts] == [i.sop_uid for i in instances]
    assert all(verdict.sentence and verdict.code for verdict in selection.verdicts)
    used = {v.sop_uid for v in selection.verdicts if v.used}
    read = {i.sop_uid for i in selection.exam.views.values()} if selection.exam else set()
    assert used == read
    assert not used & set(torn)
    assert (selection.exam is None) <= bool(selection.reason)
    if selection.exam is not None:
        assert all(i.view_key == key for key, i in selection.exam.views.items())
        if minimum is ExamMinimum.FOUR_VIEWS:
            assert set(selection.exam.views) == set(STANDARD_VIEWS)
        if minimum is ExamMinimum.ONE_BREAST:
            sides = [key.laterality for key in selection.exam.views]
            assert all(sides.count(side) == 2 for side in sides)


def test_the_time_of_acquisition_goes_before_the_number_of_the_image() -> None:
    older = instance(R_CC, sop_uid="1.2.1", acquired_at="20260303101110", instance_number=9)
    newer = instance(R_CC, sop_uid="1.2.2", acquired_at="20260303101111", instance_number=1)

    assert read_uids([older, newer, *screening()[1:]])[0] == newer.sop_uid
