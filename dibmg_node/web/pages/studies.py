"""The list of studies: filters, page after page, and finding one by its number."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dibmg_node.dicom.header import is_uid
from dibmg_node.dicom.search_keys import any_keys
from dibmg_node.domain.lifecycle import StudyState
from dibmg_node.services.patients import Patients
from dibmg_node.storage.listing import Listing, Page, Place, StudyFilter
from dibmg_node.web.pages.guard import posted
from dibmg_node.web.pages.template import Templates
from dibmg_node.web.threads import in_thread

_FILTERS: Final = ("state", "sender", "manufacturer", "since", "until", "score", "score_to")
_SECOND: Final = 1_000_000


class StudiesPages:
    """Shows many studies."""

    def __init__(self, listing: Listing, patients: Patients, templates: Templates) -> None:
        self._listing = listing
        self._patients = patients
        self._templates = templates

    def studies(self, request: Request) -> Response:
        """Studies that pass the filters of the URL, from the place that it names on.

        Raises:
            HTTPException: 400, a filter is none.
        """
        asked = {name: request.query_params.get(name, "").strip() for name in _FILTERS}
        try:
            wanted = _filter(asked)
            place = _place(request.query_params.get("behind", ""))
        except (ValueError, OverflowError, OSError) as error:  # the last: no time that this system has
            raise HTTPException(400, "a filter in the address cannot be understood") from error
        page = self._listing.page(wanted, place)
        given = {name: value for name, value in asked.items() if value}
        behind = None if page.following is None else {"behind": _written(page.following)}
        following = None if behind is None else "?" + urlencode({**given, **behind})
        newest = None if place is None else "?" + urlencode(given)
        return self._show(request, page, asked, newest, following)

    async def find(self, request: Request) -> Response:
        """The study, or the studies, with an accession number, a patient ID or a UID.

        The number comes in a form and is in no URL; studies are told by their UID.
        """
        form = await posted(request)
        number = str(form.get("number", "")).strip()
        return await in_thread(self._found, request, number)

    def _found(self, request: Request, number: str) -> Response:
        uids = self._listing.find(any_keys(number)) if number else []
        if not uids and is_uid(number):
            uids = [number]
        lines = self._listing.lines(uids)
        if len(lines) == 1:
            return RedirectResponse(f"/studies/{lines[0].study_uid}", 303)
        return self._show(request, Page(lines, None, True), None)

    def _show(
        self,
        request: Request,
        page: Page,
        asked: Mapping[str, str] | None,
        newest: str | None = None,
        following: str | None = None,
    ) -> Response:
        """A list.

        Args:
            request: That it answers.
            page: What is in it.
            asked: Filters, as the form has them; None: a number was looked for.
            newest: Query of the list's beginning, where this is not it.
            following: Query of its next part.
        """
        images = self._listing.an_instance_of([line.study_uid for line in page.lines])
        return self._templates.page(
            request,
            "studies",
            page=page,
            patients=self._patients.of_images(images),
            asked=asked,
            newest=newest,
            following=following,
            states=[state.value for state in StudyState],
            senders=self._listing.senders(),
            manufacturers=[name for name in self._listing.manufacturers() if name],
        )


def _filter(asked: Mapping[str, str]) -> StudyFilter:
    """Filters as the form gives them.

    Raises:
        ValueError: One of them is none.
    """
    until = _day(asked["until"])
    return StudyFilter(
        state=StudyState(asked["state"]) if asked["state"] else None,
        sender=asked["sender"] or None,
        manufacturer=asked["manufacturer"] or None,
        since=_day(asked["since"]),
        until=None if until is None else until + timedelta(days=1),
        lowest_score=_score(asked["score"]),
        highest_score=_score(asked["score_to"]),
    )


def _score(text: str) -> float | None:
    score = float(text) if text else None
    if score is not None and not 0 <= score <= 1:
        raise ValueError("a score is between 0 and 1")
    return score


def _day(text: str) -> datetime | None:
    """The beginning of a day, in the time zone of the node."""
    return datetime.strptime(text, "%Y-%m-%d").astimezone() if text else None


def _place(text: str) -> Place | None:
    """A place in the list, as `_written` wrote it."""
    if not text:
        return None
    seconds, _, rest = text.partition(".")
    micros, _, uid = rest.partition("-")
    at = datetime.fromtimestamp(int(seconds)).astimezone() + timedelta(microseconds=int(micros))
    return Place(at, uid)


def _written(place: Place) -> str:
    seconds = int(place.last_instance_at.timestamp())
    return f"{seconds}.{place.last_instance_at.microsecond:06d}-{place.study_uid}"
