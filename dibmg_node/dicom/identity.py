"""UIDs of what the node makes: made from what the result depends on, so that a repeat is idempotent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import uuid5

from dibmg_node.dicom import facts
from dibmg_node.domain.result import Finding, ModelIdentity, OperatingPoint, ResultKind
from dibmg_node.domain.study import ViewKey

SERIES_NUMBERS: Final = {
    ResultKind.CAD_SR: "9001",
    ResultKind.MEASUREMENT_SR: "9002",
    ResultKind.OVERLAY: "9101",
    ResultKind.PRESENTATION: "9201",
}


@dataclass(frozen=True)
class Origin:
    """What the results of one run are made from.

    Attributes:
        source_uids: SOP Instance UIDs of the images, in any order.
        model: None for a study that never met a model.
        operating_point: None likewise.
        reasons: Sentences that the result carries besides scores and findings (exclusions, a failure).
    """

    study_uid: str
    source_uids: tuple[str, ...]
    model: ModelIdentity | None = None
    operating_point: OperatingPoint | None = None
    reasons: tuple[str, ...] = ()


def result_uid(origin: Origin, kind: ResultKind, variant: str = "", view: ViewKey | None = None) -> str:
    """SOP Instance UID of a result: equal for equal input and weights, else another.

    Args:
        origin: What the result is made from.
        kind: What it is.
        variant: Tells apart results of one kind that destinations asked for differently.
        view: The image that an overlay belongs to.
    """
    model, point = origin.model, origin.operating_point
    return _uid(
        "instance",
        kind.value,
        variant,
        "" if view is None else str(view),
        origin.study_uid,
        ",".join(sorted(origin.source_uids)),
        *_model_parts(model),
        "" if point is None else f"{point.label} {point.version}",
        "\n".join(origin.reasons),
    )


def renewed_uid(sop_uid: str, later: Iterable[str]) -> str:
    """SOP Instance UID of a result that holds again, after others had taken its place.

    A destination that has it already would go on to take the last of them for what is true.

    Args:
        sop_uid: As `result_uid` gave it.
        later: UIDs of what took its place, oldest first; an earlier renewal of it among them counts.
    """
    renewed = sop_uid
    for other in later:
        if other != renewed:
            renewed = _uid("renewed", sop_uid, other)
    return renewed


def withdrawal_uid(earlier_uid: str, reason: str, sources: Iterable[str] = ()) -> str:
    """SOP Instance UID of what takes a result back.

    Args:
        earlier_uid: SOP Instance UID of the result.
        reason: Why it no longer holds.
        sources: UIDs of the images that it no longer holds for, where that is not all of them.
    """
    return _uid("withdrawal", earlier_uid, reason, ",".join(sorted(sources)))


def series_uid(study_uid: str, kind: ResultKind, model: ModelIdentity | None) -> str:
    """Series Instance UID: one per study, kind of result and weights."""
    return _uid("series", kind.value, study_uid, "" if model is None else model.sha256)


def tracking_uid(finding: Finding, model: ModelIdentity, operating_point: OperatingPoint) -> str:
    """Tracking Unique Identifier of a finding, the same in every encoding.

    A later report of the study that finds the same place again gives it the same, whatever the finding's
    number there.

    Source: (112040, DCM), TID 4108, PS3.16.
    """
    column, row = finding.center
    return _uid(
        "finding",
        finding.sop_uid,
        f"{column:.2f},{row:.2f}",
        *_model_parts(model),
        f"{operating_point.label} {operating_point.version}",
    )


def tracking_identifier(finding: Finding) -> str:
    """Name of a finding for people: (112039, DCM), TID 4108."""
    return f"{facts.ALGORITHM_NAME} {finding.view} finding {finding.number}"


def _model_parts(model: ModelIdentity | None) -> Iterable[str]:
    if model is None:
        return ("no model",)
    return (model.sha256, model.preprocessing_version, model.runtime, model.precision)


def _uid(*parts: str) -> str:
    """A UID from a version 5 UUID over the parts. Source: PS3.5 B.2."""
    text = "|".join(part.replace("|", "||") for part in (facts.RESULT_FORMAT_VERSION, *parts))
    return f"2.25.{uuid5(facts.UID_NAMESPACE, text).int}"
