"""The exam inside a study: which mammograms the model reads together, and why not the others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from dibmg_node.domain.eligibility import exclude
from dibmg_node.domain.policy import ExamMinimum, ExamPolicy, ImplantPolicy
from dibmg_node.domain.priors import find_priors
from dibmg_node.domain.study import (
    STANDARD_VIEWS,
    USED,
    Exclusion,
    ExclusionCode,
    Instance,
    Laterality,
    Verdict,
    View,
    ViewKey,
    ViewModifier,
)


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

    def unread(self, reason: str) -> Selection:
        """The same of a study whose analysis failed: what would have been read was not, for a reason."""
        verdicts = (
            replace(one, used=False, code="ANALYSIS_FAILED", sentence=reason) if one.used else one
            for one in self.verdicts
        )
        return Selection(None, tuple(verdicts), self.exclusions)


def select_exam(
    study_uid: str,
    instances: Sequence[Instance],
    policy: ExamPolicy = ExamPolicy(),
    unreadable: Mapping[str, Exclusion] | None = None,
    today: date | None = None,
) -> Selection:
    """Decide which images of a study the model reads.

    An image is read when it is a Digital Mammography X-Ray Image For Presentation of modality MG, one
    frame, acquired (not synthesized from tomosynthesis, not a subtracted or contrast image), a CC or
    MLO of one known breast, whole, without marks burned in, not of a specimen or a phantom, neither
    magnified nor with a view modifier that changes the projection, and of a breast without an implant: one
    image that tells of it, an implant displaced view too, speaks for every image of the breast. Images of
    an earlier exam (`find_priors`) are not read, whichever view the newer one lacks. Of several
    images of one view the newest acquisition is read; of one acquisition (processed again, say) the image
    with the latest Content Date and Time, else that with the highest Instance Number. With
    `policy.implants = READ` breasts with an implant are read from their implant displaced views, else from
    their ordinary ones.

    By `policy.minimum` a breast is read when it has both CC and MLO (ONE_BREAST), when it has any of
    them (ONE_VIEW), or only in a study that has all four standard views (FOUR_VIEWS).

    Args:
        study_uid: Study Instance UID.
        instances: Every instance of the study that the node has.
        policy: The site's choices.
        unreadable: Exclusions found after an earlier selection (pixels that cannot be decoded, …), by
            SOP Instance UID; they apply before retakes are judged, so that an older image of the same
            view may take the place of an unreadable one.
        today: As for `find_priors`.

    Returns:
        The exam (or None), a verdict for every instance, and the exclusions of breasts and study.

    Source: Kim et al. 2018, Data collection (four views; surgery, implants, clips excluded); CID 4014
    and CID 4015 of PS3.16 for views and modifiers.
    """
    found = dict(unreadable or {})
    with_implant = _breasts_with_implant(instances, policy)
    for instance in instances:
        exclusion = found.get(instance.sop_uid) or exclude(instance, policy)
        if exclusion is None and instance.laterality in with_implant:
            sentence = "breast implant, as another image of this breast tells: expected a breast without"
            exclusion = Exclusion(ExclusionCode.IMPLANT, sentence, instance.sop_uid, instance.laterality)
        if exclusion is not None:
            found[instance.sop_uid] = exclusion
    found = find_priors(instances, policy, today) | found
    chosen = _newest_of_each_view([i for i in instances if i.sop_uid not in found], found, policy)
    read, exclusions = _apply_minimum(chosen, policy, found)
    if not read:
        exclusions = (_why_nothing(instances, chosen, found),)
    exam = Exam(study_uid, {key: read[key] for key in STANDARD_VIEWS if key in read}) if read else None
    verdicts = tuple(_verdict(instance, found) for instance in instances)
    return Selection(exam, verdicts, exclusions)


def has_standard_views(
    instances: Collection[Instance], policy: ExamPolicy = ExamPolicy(), today: date | None = None
) -> bool:
    """Whether the four standard views of one exam are there, each from an image that may be read."""
    priors = find_priors(instances, policy, today)
    views = {i.view_key for i in instances if i.sop_uid not in priors and exclude(i, policy) is None}
    return views.issuperset(STANDARD_VIEWS)


def _breasts_with_implant(instances: Iterable[Instance], policy: ExamPolicy) -> frozenset[Laterality]:
    """Breasts that are not read for an implant that any image of them tells of."""
    if policy.implants is ImplantPolicy.READ:
        return frozenset()
    return frozenset(
        i.laterality
        for i in instances
        if i.laterality is not None and (i.implant_present or ViewModifier.IMPLANT_DISPLACED in i.modifiers)
    )


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
        several.sort(
            # a UID tells nothing of time: it makes the choice the same each time
            key=lambda i: (_displaced(i, policy), i.acquired_at, i.content_at, i.instance_number, i.sop_uid)
        )
        chosen[key] = several[-1]
        for other in several[:-1]:
            found[other.sop_uid] = Exclusion(
                ExclusionCode.RETAKEN,
                f"another image of {key} is read instead: {_why(chosen[key], other, policy)}",
                other.sop_uid,
                key.laterality,
            )
    return chosen


def _why(chosen: Instance, other: Instance, policy: ExamPolicy) -> str:
    """What one image of a view has before another."""
    if _displaced(chosen, policy) and not _displaced(other, policy):
        return "the implant displaced view counts"
    if chosen.acquired_at != other.acquired_at:
        return "the newest acquisition counts"
    if chosen.content_at != other.content_at:
        return "of one acquisition the newest image counts"
    return "no time tells which is newer, Instance Number and UID decide"


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
