"""Pages about the node: at a glance, its destinations, its senders."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from dibmg_node.domain.lifecycle import StudyState
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.listing import StudyFilter
from dibmg_node.web.pages.template import Templates

Look = Callable[[], dict[str, Any]]
"""Everything at a glance, as `dibmg_node.health.look` gives it."""
_DAY: Final = timedelta(days=1)
_FAILED: Final = 5
_UNDELIVERED: Final = 20


class NodePages:
    """Shows how the node is."""

    def __init__(self, ledger: Ledger, look: Look, now: Callable[[], datetime], templates: Templates) -> None:
        self._ledger = ledger
        self._look = look
        self._now = now
        self._templates = templates

    def overview(self, request: Request) -> Response:
        """At a glance."""
        wanted = StudyFilter(state=StudyState.FAILED, since=self._now() - _DAY)
        failed = self._ledger.listing.page(wanted, length=_FAILED)
        return self._templates.page(request, "overview", node=self._look(), failed=failed)

    def destinations(self, request: Request) -> Response:
        """Each destination: its health, what is owed, how long delivery takes."""
        node = self._look()
        rows = [
            {
                **one,
                "seconds": median(self._ledger.pace.deliveries(one["name"])),
                "studies": self._ledger.listing.lines(
                    self._ledger.views.undelivered(one["name"], _UNDELIVERED)
                ),
            }
            for one in node["destinations"]
        ]
        return self._templates.page(request, "destinations", destinations=rows)

    def senders(self, request: Request) -> Response:
        """Who sends, and since when it did not."""
        node, since = self._look(), self._now() - _DAY
        rows = [
            {"name": name, "last": at, "day": self._ledger.views.studies_from(name, since)}
            for name, at in node["senders"].items()
        ]
        return self._templates.page(request, "senders", senders=rows, node=node)


def median(seconds: Any) -> float | None:
    """The middle one of several durations; None without any."""
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2] if ordered else None
