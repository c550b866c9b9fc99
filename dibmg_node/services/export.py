"""Export: studies and their scores as rows of a table, without anything that names a patient."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from dibmg_node.domain.study import STANDARD_VIEWS
from dibmg_node.storage.listing import Listing, StudyFilter, StudyLine

Row = Mapping[str, str | float | int | None]

VIEWS: Final = tuple(str(key) for key in STANDARD_VIEWS)
COLUMNS: Final[Mapping[str, type]] = {
    "study_uid": str,
    "state": str,
    "revision": int,
    "reason": str,
    "sender": str,
    "manufacturer": str,
    "received_at": str,
    "last_instance_at": str,
    "purged_at": str,
    "score_exam": float,
    "score_r": float,
    "score_l": float,
    **{f"score_{view.lower().replace('-', '_')}": float for view in VIEWS},
    "probability": float,
    "findings": int,
    "threshold": float,
    "operating_point": str,
    "operating_point_version": str,
    "model": str,
    "model_version": str,
    "model_sha256": str,
}
"""Names and types of the columns; times are ISO 8601 in UTC."""
ACCESSION: Final = "accession_number"
_PART: Final = 1000


def rows(
    listing: Listing, wanted: StudyFilter, accession: Callable[[str], str] | None = None
) -> Iterator[Sequence[Row]]:
    """Studies that pass a filter, part after part, that with the newest image first.

    Args:
        listing: Of the ledger.
        wanted: What passes.
        accession: Accession number of the study that an image of some SOP Instance UID is of; None: no such
            column.
    """
    for lines in listing.pages(wanted, _PART):
        uids = [line.study_uid for line in lines]
        readings = listing.readings_of(uids)
        part = [_row(line, readings.get(line.study_uid)) for line in lines]
        if accession is not None:
            images = listing.an_instance_of(uids)
            part = [{ACCESSION: accession(images.get(str(one["study_uid"]), "")), **one} for one in part]
        yield part


def _row(line: StudyLine, text: str | None) -> dict[str, str | float | int | None]:
    reading: Mapping[str, Any] = json.loads(text) if text and line.exam is not None else {}
    scores, model, point = (reading.get(name) or {} for name in ("scores", "model", "operating_point"))
    views = scores.get("views") or {}
    return {
        "study_uid": line.study_uid,
        "state": line.state.value,
        "revision": line.revision,
        "reason": line.reason,
        "sender": line.sender,
        "manufacturer": line.manufacturer,
        "received_at": line.received_at.isoformat(),
        "last_instance_at": line.last_instance_at.isoformat(),
        "purged_at": line.purged_at.isoformat() if line.purged_at else None,
        "score_exam": line.exam,
        "score_r": line.right,
        "score_l": line.left,
        **{f"score_{view.lower().replace('-', '_')}": views.get(view) for view in VIEWS},
        "probability": scores.get("probability"),
        "findings": len(reading["findings"]) if "findings" in reading else None,
        "threshold": point.get("threshold"),
        "operating_point": point.get("name"),
        "operating_point_version": point.get("version"),
        "model": model.get("name"),
        "model_version": model.get("version"),
        "model_sha256": model.get("sha256"),
    }
