"""What operators have done by the buttons of the pages: retry, cancel, priority, pause and resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dibmg_node.dicom.header import is_uid
from dibmg_node.domain.pause import Part
from dibmg_node.domain.priority import Priority
from dibmg_node.errors import PermanentError
from dibmg_node.services.operating import Operating, Person
from dibmg_node.storage.destination_views import EVER
from dibmg_node.storage.retries import Retry
from dibmg_node.storage.views import Views
from dibmg_node.web.pages.guard import operator, posted
from dibmg_node.web.pages.overview import Look
from dibmg_node.web.search import peer_address
from dibmg_node.web.threads import in_thread

_T = TypeVar("_T")

MESSAGES: Final = {
    Retry.ANALYSIS.value: "The study will be read again.",
    Retry.DELIVERY.value: "The results will be sent again.",
    "canceled": "The study is given up. Retry brings it back.",
    **{one.value: f"The study is {one.value} now." for one in Priority},
}
"""What the page of a study says after an act on it, by its `done`."""


class ActPages:
    """Takes forms of operators, and leads back to the page that they came from."""

    def __init__(self, operating: Operating, views: Views, look: Look) -> None:
        self._operating = operating
        self._views = views
        self._look = look

    async def retry(self, request: Request) -> Response:
        """Have an analysis or deliveries tried again."""
        form, who = await _form(request)
        what = _one_of(Retry, form, "what")
        study_uid = await in_thread(self._study_uid, request)
        tried = await _carried_out(lambda: self._operating.retry(who, study_uid, what))
        return _back_to_study(study_uid, tried.value)

    async def retry_refused(self, request: Request) -> Response:
        """Have all sent again that a destination has refused."""
        form, who = await _form(request)
        name = str(form.get("name", ""))
        if not await in_thread(self._is_destination, name):
            raise HTTPException(404, "no such destination is configured")
        await _carried_out(lambda: self._operating.retry_refused(who, name, EVER))
        return _back_to_part(name)

    async def cancel(self, request: Request) -> Response:
        """Give a study up."""
        form, who = await _form(request)
        study_uid = await in_thread(self._study_uid, request)
        reason = str(form.get("reason", ""))
        await _carried_out(lambda: self._operating.cancel(who, study_uid, reason))
        return _back_to_study(study_uid, "canceled")

    async def priority(self, request: Request) -> Response:
        """Make a study more or less urgent."""
        form, who = await _form(request)
        priority = _one_of(Priority, form, "priority")
        study_uid = await in_thread(self._study_uid, request)
        await _carried_out(lambda: self._operating.prioritize(who, study_uid, priority))
        return _back_to_study(study_uid, priority.value)

    async def pause(self, request: Request) -> Response:
        """Pause a part of the node."""
        form, who = await _form(request)
        part, name = _part(form)
        if name and not await in_thread(self._is_destination, name):
            raise HTTPException(404, "no such destination is configured")
        reason = str(form.get("reason", ""))
        await _carried_out(lambda: self._operating.pause(who, part, name, reason))
        return _back_to_part(name)

    async def resume(self, request: Request) -> Response:
        """Resume a part of the node."""
        form, who = await _form(request)
        part, name = _part(form)
        await _carried_out(lambda: self._operating.resume(who, part, name))
        return _back_to_part(name)

    def _study_uid(self, request: Request) -> str:
        """The study that the URL names.

        Raises:
            HTTPException: 404, there is none.
        """
        study_uid = str(request.path_params["study"])
        if not is_uid(study_uid) or self._views.study(study_uid) is None:
            raise HTTPException(404, "the node has no such study")
        return study_uid

    def _is_destination(self, name: str) -> bool:
        return any(one["name"] == name for one in self._look()["destinations"])


async def _form(request: Request) -> tuple[FormData, Person]:
    """The fields of a form, and the operator who sent it.

    Raises:
        HTTPException: As `posted` and `operator`.
    """
    form = await posted(request)
    return form, Person(operator(request).name, peer_address(request))


def _one_of(closed: Callable[[str], _T], form: FormData, field: str) -> _T:
    try:
        return closed(str(form.get(field, "")))
    except ValueError as error:
        raise HTTPException(400, f"the field {field!r} has none of its values") from error


def _part(form: FormData) -> tuple[Part, str]:
    part, name = _one_of(Part, form, "part"), str(form.get("name", ""))
    if (part is Part.DESTINATION) != bool(name):
        raise HTTPException(400, "a destination has a name, and nothing else has")
    return part, name


async def _carried_out(act: Callable[[], _T]) -> _T:
    try:
        return await in_thread(act)
    except PermanentError as error:
        raise HTTPException(409, str(error)) from error


def _back_to_study(study_uid: str, done: str) -> Response:
    return RedirectResponse(f"/studies/{study_uid}?done={done}", 303)


def _back_to_part(name: str) -> Response:
    return RedirectResponse("/destinations" if name else "/", 303)
