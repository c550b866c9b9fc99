"""Templates: from what a page knows to HTML. Everything is escaped; nothing is written inline."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from dibmg_node.web.pages.guard import csrf_token

_STATES: Final = {
    "DELIVERED": "good",
    "STORED": "good",
    "PROVEN": "good",
    "RECEIVING": "moving",
    "READY": "moving",
    "ANALYZING": "moving",
    "ANALYZED": "moving",
    "OWED": "moving",
    "EXCLUDED": "aside",
    "SUPERSEDED": "aside",
    "CANCELED": "aside",
    "FAILED": "bad",
    "REFUSED": "bad",
    "no drift": "good",
    "drift": "bad",
    "healthy": "good",
    "degraded": "warn",
    "down": "bad",
}
"""What color a state has; the word itself always stands beside it."""


class Templates:
    """Renders pages."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Load the package's templates.

        Args:
            now: The time.
        """
        self._now = now
        self._environment = Environment(
            loader=PackageLoader("dibmg_node.web"),
            autoescape=True,
            auto_reload=False,  # an upgrade must not mix new templates with old code
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            moment=moment,
            age=lambda at: span(now() - at),
            ago=lambda at: f"{span(now() - at)} ago" if at else "never",
            span=span,
            score=score,
            gigabytes=gigabytes,
            tone=lambda state: _STATES.get(state, "aside"),
        )
        self._environment.globals.update(version=version("dibmg-node"))

    def page(self, request: Request, name: str, status: int = 200, **known: Any) -> HTMLResponse:
        """A page.

        Args:
            request: That it answers.
            name: Of the template, without its ending.
            status: Of HTTP.
            known: What the template uses.
        """
        html = self._environment.get_template(f"{name}.html").render(
            visitor=request.state.visitor,
            csrf=csrf_token(request),
            path=request.url.path,
            now=self._now(),
            **known,
        )
        return HTMLResponse(html, status)


def moment(at: datetime | str | None) -> str:
    """A time of the ledger, in the time zone of the node."""
    if not at:
        return ""
    given = datetime.fromisoformat(at) if isinstance(at, str) else at
    return given.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def span(length: timedelta | float | None) -> str:
    """A duration in its two largest units."""
    if length is None:
        return ""
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def score(value: float | None) -> str:
    """A score."""
    return "–" if value is None else f"{value:.3f}"


def gigabytes(count: float | None) -> str:
    """Bytes in GB, or in MB where they are few."""
    if count is None:
        return "?"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
