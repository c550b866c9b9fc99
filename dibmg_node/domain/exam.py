"""The exam inside a study: which mammograms the model reads together, and why not the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dibmg_node.domain.study import (
    STANDARD_VIEWS,
    USED,
    Exclusion,
    ExclusionCode,
    ImageKind,
    Instance,
    Laterality,
    Verdict,
    View,
    ViewKey,
    ViewModifier,
)

_HARMLESS_MODIFIERS = frozenset({ViewModifier.NIPPLE_IN_PROFILE, ViewModifier.INFRA_MAMMARY_FOLD})
"""Modifiers of a view that still shows the whole breast in its standard projection."""

_MAXIMUM_MAGNIFICATION = 1.2
"""A contact view enlarges by up to about 1.1; a magnification stand by 1.4 or more."""

_SUBTRACTED_TYPES = frozenset({"SUBTRACTION", "RECOMBINED", "POST_CONTRAST", "HIGH_ENERGY"})


class ExamMinimum(StrEnum):
    """Which views a study must have to be read."""

    ONE_VIEW = "one_view"
    ONE_BREAST = "one_breast"
    FOUR_VIEWS = "four_views"


class ImplantPolicy(StrEnum):
    """What becomes of breasts with implants."""

    EXCLUDE = "exclude"
    READ = "read"


@dataclass(frozen=True)
class ExamPolicy:
    """The choices that a site may make; the default is the most careful that reads one breast."""

    minimum: ExamMinimum = ExamMinimum.ONE_BREAST
    implants: ImplantPolicy = ImplantPolicy.EXCLUDE


@dataclass(frozen=True)
class Exam:
    """The eligible mammograms of one study: one instance for each view that is read."""

    study_uid: str
    views: Mapping[ViewKey, Instance]


@dataclass(frozen=True)
class Selection:
    """What `select_exam` decided.

    Attributes:
        exam: What the model reads; None where nothing may be read.
        verdicts: One for each instance of the study, in the order given.
        exclusions: Breasts that are not read, and why the study is not where it is not.
    """

    exam: Exam | None
    verdicts: tuple[Verdict, ...]
    exclusions: tuple[Exclusion, ...]

    @property
    def reason(self) -> str:
        """Why the study is not read, or what of it is not; empty where all of it is."""
        return "; ".join(exclusion.sentence for exclusion in self.exclusions)


def select_exam(
    study_uid: str,
    instances: Sequence[Instance],
    policy: ExamPolicy = ExamPolicy(),
    unreadable: Mapping[str, Exclusion] | None = None,
) -> Selection:
    """Decide which images of a study the model reads.

    An image is read when it is a Digital Mammography X-Ray Image For Presentation of modality MG, one
    frame, acquired (not synthesized from tomosynthesis, not a subtracted or contrast image), a CC or
    MLO of one known breast, whole, without marks burned in, not of a specimen or a phantom, neither
    magnified nor with a view modifier that changes the projection, and without an implant. Of several
    images of one view the newest acquisition is read. With `policy.implants = READ` breasts with an
    implant are read from their implant displaced views, else from their ordinary ones.

    By `policy.minimum` a breast is read when it has both CC and MLO (ONE_BREAST), when it has any of
    them (ONE_VIEW), or only in a study that has all four standard views (FOUR_VIEWS).

    Args:
        study_uid: Study Instance UID.
        instances: Every instance of the study that the node has.
        policy: The site's choices.
        unreadable: Exclusions found after an earlier selection (pixels that cannot be decoded, …), by
            SOP Instance UID; they apply before retakes are judged, so that an older image of the same
            view may take the place of an unreadable one.

    Returns:
        The exam (or None), a verdict for every instance, and the exclusions of breasts and study.

    Source: Kim et al. 2018, Data collection (four views; surgery, implants, clips excluded); CID 4014
    and CID 4015 of PS3.16 for views and modifiers.
    """
    found = dict(unreadable or {})
    for instance in instances:
        exclusion = found.get(instance.sop_uid) or _exclude(instance, policy)
        if exclusion is not None:
            found[instance.sop_uid] = exclusion
    chosen = _newest_of_each_view([i for i in instances if i.sop_uid not in found], found, policy)
    read, exclusions = _apply_minimum(chosen, policy, found)
    if not read:
        exclusions = (_why_nothing(instances, chosen, found),)
    exam = Exam(study_uid, {key: read[key] for key in STANDARD_VIEWS if key in read}) if read else None
    verdicts = tuple(_verdict(instance, found) for instance in instances)
    return Selection(exam, verdicts, exclusions)


def has_standard_views(instances: Iterable[Instance], policy: ExamPolicy = ExamPolicy()) -> bool:
    """Whether the four standard views are there, each from an image that may be read."""
    views = {i.view_key for i in instances if _exclude(i, policy) is None}
    return views.issuperset(STANDARD_VIEWS)


def _exclude(i: Instance, policy: ExamPolicy) -> Exclusion | None:
    """The first rule that keeps one image out, looking at this image alone."""
    for code, applies, sentence in _rules(i, policy):
        if applies:
            return Exclusion(code, sentence, i.sop_uid, i.laterality)
    return None


def _rules(i: Instance, policy: ExamPolicy) -> list[tuple[ExclusionCode, bool, str]]:
    """Rules in the order in which a person would ask; the first that applies is reported."""
    code = ExclusionCode
    types = set(i.image_type)
    displaced = ViewModifier.IMPLANT_DISPLACED in i.modifiers
    reads_implants = policy.implants is ImplantPolicy.READ
    changing = [
        m
        for m in i.modifiers
        if m not in _HARMLESS_MODIFIERS and not (m is ViewModifier.IMPLANT_DISPLACED and reads_implants)
    ]
    return [
        (code.NOT_AN_IMAGE, i.kind is ImageKind.OTHER, "not a mammogram: another object of the study"),
        (
            code.TOMOSYNTHESIS,
            i.kind is ImageKind.TOMOSYNTHESIS,
            "breast tomosynthesis: the model reads 2D mammograms only",
        ),
        (
            code.PROJECTION,
            i.kind is ImageKind.PROJECTION,
            "breast projection image of a tomosynthesis: the model reads 2D mammograms only",
        ),
        (
            code.SECONDARY_CAPTURE,
            i.kind is ImageKind.SECONDARY_CAPTURE,
            "Secondary Capture: expected Digital Mammography X-Ray Image - For Presentation",
        ),
        (
            code.FOR_PROCESSING,
            i.kind is ImageKind.FOR_PROCESSING or i.presentation_intent == "FOR PROCESSING",
            "for processing (raw): the model reads For Presentation images only",
        ),
        (
            code.NOT_MAMMOGRAPHY,
            i.modality != "MG",
            f"modality is {i.modality or 'missing'}, expected MG",
        ),
        (code.QUALITY_CONTROL, i.quality_control, "quality-control or phantom image"),
        (code.MULTI_FRAME, i.frames != 1, f"{i.frames} frames, expected one"),
        (
            code.SYNTHESIZED_2D,
            any("GENERATED_2D" in t or t.startswith("TOMO") for t in types),
            "2D image synthesized from tomosynthesis: expected an acquired mammogram",
        ),
        (
            code.SUBTRACTED,
            bool(types & _SUBTRACTED_TYPES),
            "contrast or subtracted image: expected a plain mammogram",
        ),
        (
            code.BURNED_IN,
            i.burned_in,
            "annotations or CAD marks are burned into the pixels",
        ),
        (code.SPECIMEN, i.view is View.SPECIMEN, "specimen radiograph: expected a breast"),
        (
            code.LATERALITY_UNKNOWN,
            i.laterality not in (Laterality.RIGHT, Laterality.LEFT),
            f"laterality is {i.laterality or 'missing'}, expected R or L",
        ),
        (code.VIEW_UNKNOWN, i.view is None, "view is missing or unknown, expected CC or MLO"),
        (
            code.VIEW_NOT_STANDARD,
            i.view not in (View.CC, View.MLO),
            f"{i.view} view: the model reads CC and MLO only",
        ),
        (
            code.IMPLANT,
            (i.implant_present or displaced) and not reads_implants,
            "breast implant: the model was not made for breasts with implants",
        ),
        (
            code.VIEW_MODIFIED,
            bool(changing),
            f"view modifier {', '.join(changing)}: expected the plain projection",
        ),
        (
            code.MAGNIFIED,
            (i.magnification or 1.0) > _MAXIMUM_MAGNIFICATION,
            f"magnified {i.magnification or 1.0:.2f} times: expected a contact view",
        ),
        (
            code.PARTIAL_VIEW,
            i.partial_view,
            "partial view of a breast that was too large for the detector: expected the whole breast",
        ),
    ]


def _newest_of_each_view(
    eligible: Sequence[Instance], found: dict[str, Exclusion], policy: ExamPolicy
) -> dict[ViewKey, Instance]:
    """The image of each view that counts; the others of that view are entered in `found`."""
    by_view: dict[ViewKey, list[Instance]] = {}
    for instance in eligible:
        key = instance.view_key
        assert key is not None  # the rules have excluded images without side or view
        by_view.setdefault(key, []).append(instance)
    chosen = {}
    for key, several in by_view.items():
        several.sort(key=lambda i: (_displaced(i, policy), i.acquired_at, i.instance_number, i.sop_uid))
        chosen[key] = several[-1]
        for other in several[:-1]:
            displaced = _displaced(chosen[key], policy) and not _displaced(other, policy)
            why = "the implant displaced view counts" if displaced else "the newest acquisition counts"
            found[other.sop_uid] = Exclusion(
                ExclusionCode.RETAKEN,
                f"another image of {key} is read instead: {why}",
                other.sop_uid,
                key.laterality,
            )
    return chosen


def _displaced(instance: Instance, policy: ExamPolicy) -> bool:
    return policy.implants is ImplantPolicy.READ and ViewModifier.IMPLANT_DISPLACED in instance.modifiers


def _missing(chosen: Mapping[ViewKey, Instance], wanted: Iterable[ViewKey]) -> str:
    return "missing views: " + ", ".join(str(key) for key in wanted if key not in chosen)


def _apply_minimum(
    chosen: Mapping[ViewKey, Instance], policy: ExamPolicy, found: dict[str, Exclusion]
) -> tuple[dict[ViewKey, Instance], tuple[Exclusion, ...]]:
    """Drop what the minimum does not allow; views dropped are entered in `found`."""
    missing = [key for key in STANDARD_VIEWS if key not in chosen]
    if not missing:
        return dict(chosen), ()
    if policy.minimum is ExamMinimum.ONE_VIEW:
        return dict(chosen), _incomplete(chosen)
    if policy.minimum is ExamMinimum.FOUR_VIEWS:
        sentence = _missing(chosen, STANDARD_VIEWS)
        for key, instance in chosen.items():
            found[instance.sop_uid] = Exclusion(
                ExclusionCode.MISSING_VIEWS, sentence, instance.sop_uid, key.laterality
            )
        return {}, (Exclusion(ExclusionCode.MISSING_VIEWS, sentence),)
    read = {}
    for key, instance in chosen.items():
        pair = [ViewKey(key.laterality, view) for view in (View.CC, View.MLO)]
        if all(other in chosen for other in pair):
            read[key] = instance
        else:
            found[instance.sop_uid] = Exclusion(
                ExclusionCode.BREAST_INCOMPLETE,
                f"the breast is not read: {_missing(chosen, pair)}",
                instance.sop_uid,
                key.laterality,
            )
    return read, _incomplete(chosen)


def _incomplete(chosen: Mapping[ViewKey, Instance]) -> tuple[Exclusion, ...]:
    """One exclusion for each breast that lacks a standard view."""
    exclusions = []
    for laterality in (Laterality.RIGHT, Laterality.LEFT):
        pair = [ViewKey(laterality, view) for view in (View.CC, View.MLO)]
        if any(key not in chosen for key in pair):
            exclusions.append(
                Exclusion(ExclusionCode.BREAST_INCOMPLETE, _missing(chosen, pair), laterality=laterality)
            )
    return tuple(exclusions)


def _why_nothing(
    instances: Sequence[Instance],
    chosen: Mapping[ViewKey, Instance],
    found: Mapping[str, Exclusion],
) -> Exclusion:
    """One sentence on why nothing of a study is read: missing views, and what was there instead."""
    if chosen:
        return Exclusion(ExclusionCode.MISSING_VIEWS, _missing(chosen, STANDARD_VIEWS))
    reasons: dict[ExclusionCode, tuple[int, str]] = {}
    for instance in instances:
        exclusion = found[instance.sop_uid]
        count, _ = reasons.get(exclusion.code, (0, ""))
        reasons[exclusion.code] = (count + 1, exclusion.sentence)
    if not reasons:
        return Exclusion(ExclusionCode.NO_MAMMOGRAM, "no image in the study")
    told = "; ".join(f"{count} x {sentence}" for count, sentence in reasons.values())
    return Exclusion(ExclusionCode.NO_MAMMOGRAM, f"no mammogram that the model can read: {told}")


def _verdict(instance: Instance, found: Mapping[str, Exclusion]) -> Verdict:
    exclusion = found.get(instance.sop_uid)
    if exclusion is not None:
        return Verdict(
            instance.sop_uid, False, exclusion.code, exclusion.sentence, instance.laterality, instance.view
        )
    return Verdict(
        instance.sop_uid,
        True,
        USED,
        f"read as {instance.view_key}",
        instance.laterality,
        instance.view,
    )
