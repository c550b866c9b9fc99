"""The queue: what is being read, what waits to be read and in which order, what is still coming in."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from dibmg_node.domain.lifecycle import StudyState
from dibmg_node.domain.priority import Priority
from dibmg_node.storage.listing import Listing, StudyFilter
from dibmg_node.web.pages.overview import Look
from dibmg_node.web.pages.template import Templates

_WAITING: Final = 100
_AT_WORK: Final = 20


class QueuePage:
    """Shows what waits."""

    def __init__(self, listing: Listing, look: Look, templates: Templates) -> None:
        self._listing = listing
        self._look = look
        self._templates = templates

    def queue(self, request: Request) -> Response:
        """The studies that no result was made of yet."""
        node = self._look()
        at_work = StudyFilter(state=StudyState.ANALYZING)
        coming = StudyFilter(state=StudyState.RECEIVING)
        return self._templates.page(
            request,
            "queue",
            node=node,
            at_work=self._listing.page(at_work, length=_AT_WORK).lines,
            waiting=self._listing.queue(_WAITING),
            coming=self._listing.page(coming, length=_AT_WORK).lines,
            priorities=[one.value for one in Priority],
        )
