"""The audit trail, newest line first, for operators; and whether it is whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dibmg_node.dicom.header import is_uid
from dibmg_node.domain.audit import EventId, Gravity
from dibmg_node.domain.counted import counted
from dibmg_node.errors import PermanentError, RetryableError
from dibmg_node.services.operating import Person
from dibmg_node.services.trail_desk import TrailDesk
from dibmg_node.storage.trail_tail import TrailFilter, TrailPlace
from dibmg_node.web.pages.guard import operator, posted
from dibmg_node.web.pages.template import Templates
from dibmg_node.web.search import peer_address
from dibmg_node.web.threads import in_thread

_FILTERS: Final = ("event", "study", "outcome", "since", "until")
_OUTCOMES: Final = {
    str(Gravity.SUCCESS.value): ("success", "good"),
    str(Gravity.MINOR.value): ("minor failure", "warn"),
    str(Gravity.SERIOUS.value): ("serious failure", "bad"),
}


class AuditPages:
    """Shows the trail."""

    def __init__(self, desk: TrailDesk, templates: Templates) -> None:
        self._desk = desk
        self._templates = templates

    def audit(self, request: Request) -> Response:
        """Lines that pass the filters of the URL, from the place that it names on.

        Raises:
            HTTPException: 400, a filter is none; 403, not an operator; 503, the trail cannot be read.
        """
        who = Person(operator(request).name, peer_address(request))
        asked = {name: request.query_params.get(name, "").strip() for name in _FILTERS}
        try:
            wanted, place = _filter(asked), _place(request.query_params.get("before", ""))
        except (ValueError, OverflowError) as error:
            raise HTTPException(400, "a filter in the address cannot be understood") from error
        given = {name: value for name, value in asked.items() if value}
        try:
            page = self._desk.read(who, wanted, place, _url(given))
        except RetryableError as error:
            raise HTTPException(503, str(error)) from error
        following = page.following
        return self._templates.page(
            request,
            "audit",
            asked=asked,
            lines=[_row(line) for line in page.lines],
            page=page,
            newest=_url(given) if place else None,
            following=following and _url({**given, "before": f"{following.number}-{following.offset}"}),
            events=[(one.code, one.meaning) for one in EventId],
            outcomes=[(code, words) for code, (words, _) in _OUTCOMES.items()],
            verified=self._desk.verified(),
            is_short=self._desk.is_short(),
        )

    async def verify(self, request: Request) -> Response:
        """Verify the chain, and show what came of it."""
        await posted(request)
        who = Person(operator(request).name, peer_address(request))
        try:
            await in_thread(self._desk.verify, who)
        except (PermanentError, RetryableError) as error:
            raise HTTPException(409, str(error)) from error
        return RedirectResponse("/audit", 303)


def _url(asked: Mapping[str, str]) -> str:
    return "/audit" + (f"?{urlencode(asked)}" if asked else "")


def _filter(asked: Mapping[str, str]) -> TrailFilter:
    """Filters as the form gives them.

    Raises:
        ValueError: One of them is none.
    """
    if asked["event"] not in {"", *(one.code for one in EventId)} or asked["outcome"] not in {"", *_OUTCOMES}:
        raise ValueError("no such event or outcome")
    if asked["study"] and not is_uid(asked["study"]):
        raise ValueError("no UID")
    until = _moment(asked["until"])
    return TrailFilter(
        event=asked["event"] or None,
        study_uid=asked["study"] or None,
        outcome=int(asked["outcome"]) if asked["outcome"] else None,
        since=_moment(asked["since"]),
        # the whole of the last minute counts
        until=until and until + timedelta(minutes=1),
    )


def _moment(text: str) -> datetime | None:
    """A minute, in the time zone of the node."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M").astimezone() if text else None


def _place(text: str) -> TrailPlace | None:
    number, _, offset = text.partition("-")
    return TrailPlace(int(number), int(offset)) if text else None


def _row(line: Mapping[str, Any]) -> dict[str, Any]:
    """What is shown of a line."""
    words, tone = _OUTCOMES.get(str(line.get("outcome")), ("unknown", "aside"))
    people = [_called(one) for one in line.get("participants", ())]
    repeated = line.get("repeated", 0)
    return {
        "seq": line["seq"],
        "at": str(line.get("at", "")),
        "process": str(line.get("process", "")),
        "event": str(line.get("name", "")),
        "type": str(line.get("type_name", "")),
        "outcome": words,
        "tone": tone,
        "people": people,
        "studies": [str(one["study_uid"]) for one in line.get("studies", ())],
        "patient": str(line.get("patient", "")),
        "words": [str(line[key]) for key in ("query", "description") if line.get(key)]
        + ([f"{counted(repeated, 'time')} more before"] if repeated else []),
    }


def _called(participant: Mapping[str, Any]) -> str:
    """Its name, and its address where that says more."""
    user, address = str(participant["user"]), participant.get("address", "")
    return f"{user} ({address})" if address and address != user else user
