"""One study: its views with their overlays, findings, exclusions, deliveries, timeline."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from dibmg_node.dicom.header import is_uid
from dibmg_node.domain.lifecycle import DeliveryState, StudyState
from dibmg_node.domain.priority import Priority
from dibmg_node.domain.study import STANDARD_VIEWS
from dibmg_node.errors import DibmgError
from dibmg_node.services.audit import Auditor
from dibmg_node.services.patients import Patients
from dibmg_node.services.pictures import Pictures
from dibmg_node.storage.views import Views
from dibmg_node.web.pages.acts import MESSAGES
from dibmg_node.web.pages.template import Templates
from dibmg_node.web.search import peer_address

_log = logging.getLogger(__name__)

_STORED: Final = "instance stored"
_MOST_SHOWN: Final = 8
_ORDER: Final = {str(key): place for place, key in enumerate(STANDARD_VIEWS)}


@dataclass(frozen=True)
class ShownView:
    """One mammogram on the page.

    Attributes:
        shape: (rows, columns) of the stored image.
        overlay: UID of its overlay; empty: none.
        findings: On this image, as `result.json` has them.
    """

    name: str
    sop_uid: str
    shape: tuple[int, int]
    overlay: str
    score: float | None
    findings: Sequence[Mapping[str, Any]]


class StudyPages:
    """Shows one study."""

    def __init__(
        self,
        views: Views,
        patients: Patients,
        pictures: Pictures,
        audit: Auditor,
        templates: Templates,
    ) -> None:
        self._views = views
        self._patients = patients
        self._pictures = pictures
        self._audit = audit
        self._templates = templates

    def study(self, request: Request) -> Response:
        """Everything about one study."""
        study = self._study(request)
        images = study["instances"]
        patient = self._patients.of_image(images[0]["sop_uid"])
        classes = [one["sop_class_uid"] for one in images]
        name = request.state.visitor.name
        self._audit.accessed(peer_address(request), study["study_uid"], classes, patient.pseudonym, name)
        return self._templates.page(
            request,
            "study",
            study=study,
            reading=_UNREAD | (study["reading"] or {}),
            patient=patient,
            views=shown_views(study),
            # what was left out first: it is what people ask about
            instances=sorted(images, key=lambda one: (one["used"] is True, _place(_name(one)))),
            deliveries=grouped(study),
            may_cancel=may_cancel(study),
            priorities=[one.value for one in Priority],
            timeline=told(study["timeline"]),
            message=MESSAGES.get(request.query_params.get("done", ""), ""),
        )

    def mammogram(self, request: Request) -> Response:
        """A mammogram as JPEG; `center` and `width` in widths of its own window."""
        one = self._one(self._study(request)["instances"], request)
        try:
            center = float(request.query_params.get("center", "0"))
            width = float(request.query_params.get("width", "1"))
            if not (-2 <= center <= 2 and 0.02 <= width <= 4):
                raise ValueError("out of range")
        except ValueError as error:
            raise HTTPException(400, "center is within -2..2, width within 0.02..4") from error
        return _picture(lambda: self._pictures.mammogram(one["sop_uid"], center, width))

    def overlay(self, request: Request) -> Response:
        """An overlay as JPEG: its panel with the marks."""
        study = self._study(request)
        one = self._one(study["results"], request)
        shape = next((v.shape for v in shown_views(study) if v.overlay == one["sop_uid"]), None)
        if shape is None:
            raise HTTPException(404, "no current view has this overlay")
        return _picture(lambda: self._pictures.overlay(one["sop_uid"], shape))

    def _study(self, request: Request) -> dict[str, Any]:
        """The study that the URL names.

        Raises:
            HTTPException: 404, there is none.
        """
        study_uid = request.path_params["study"]
        study = self._views.study(study_uid) if is_uid(study_uid) else None
        if study is None:
            raise HTTPException(404, "the node has no such study")
        return study

    @staticmethod
    def _one(several: Sequence[dict[str, Any]], request: Request) -> dict[str, Any]:
        for one in several:
            if one["sop_uid"] == request.path_params["sop"]:
                return one
        raise HTTPException(404, "the study has no such image")


_UNREAD: Final[dict[str, Any]] = {
    "operating_point": None,
    "model": None,
    "findings": [],
    "seconds": {},
    "unlike_training": [],
    "notes": {},
}


def shown_views(study: Mapping[str, Any]) -> list[ShownView]:
    """Mammograms to show: those that were read, in the standard order; else what came, a few of it."""
    reading = study["reading"] or {}
    overlays = {
        one["view"]: one["sop_uid"]
        for one in study["results"]
        if one["kind"] == "overlay" and one["current"] and not one["withdraws"] and not one["purged"]
    }
    scores = (reading.get("scores") or {}).get("views", {})
    there = [one for one in study["instances"] if not one["purged"]]
    read = [one for one in there if one["used"]]
    shown = []
    for one in read or [i for i in there if i["columns"] and i["view"]][:_MOST_SHOWN]:
        name = _name(one)
        shown.append(
            ShownView(
                name,
                one["sop_uid"],
                (one["rows"], one["columns"]),
                overlays.get(name, "") if one["used"] else "",
                scores.get(name) if one["used"] else None,
                [f for f in reading.get("findings", ()) if f["sop_uid"] == one["sop_uid"]],
            )
        )
    return sorted(shown, key=lambda view: _place(view.name))


def _name(image: Mapping[str, Any]) -> str:
    """Side and projection, where the header gives them."""
    return "-".join(part for part in (image["laterality"], image["view"]) if part)


def _place(name: str) -> int:
    return _ORDER.get(name, len(_ORDER))


def may_cancel(study: Mapping[str, Any]) -> bool:
    """Whether anything of a study waits that an operator could give up."""
    lacking = any(one["state"] in (DeliveryState.OWED, DeliveryState.REFUSED) for one in study["deliveries"])
    return lacking or study["state"] in (StudyState.RECEIVING, StudyState.READY, StudyState.ANALYZING)


def grouped(study: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], list[str]]]:
    """Deliveries, those together that went the same way: one of them, and what results they are of."""
    kinds = {one["sop_uid"]: f"{one['kind']} {one['view']}".strip() for one in study["results"]}
    groups: dict[tuple[object, ...], tuple[Mapping[str, Any], list[str]]] = {}
    for one in study["deliveries"]:
        way = tuple(value for name, value in one.items() if name != "sop_uid")
        groups.setdefault(way, (one, []))[1].append(kinds[one["sop_uid"]])
    return [(one, sorted(results)) for one, results in groups.values()]


def told(timeline: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """History with the time from step to step; what happened again and again is one step."""
    steps: list[dict[str, Any]] = []
    before: datetime | None = None
    for one in timeline:
        at = datetime.fromisoformat(one["at"])
        took = at - before if before else timedelta(0)
        # each image has its own UID as detail
        detail = "" if one["event"] == _STORED else one["detail"]
        if steps and (one["event"], detail) == (steps[-1]["event"], steps[-1]["detail"]):
            steps[-1]["count"] += 1
            steps[-1]["took"] += took
        else:
            steps.append({"event": one["event"], "detail": detail, "at": at, "count": 1, "took": took})
        before = at
    return steps


def _picture(draw: Callable[[], bytes]) -> Response:
    try:
        return Response(draw(), media_type="image/jpeg")
    except (DibmgError, OSError) as error:
        _log.warning("picture not drawn", extra={"error": type(error).__name__})
        raise HTTPException(502, "this image cannot be drawn") from error
