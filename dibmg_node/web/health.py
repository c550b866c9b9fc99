"""Is the node alive, is it ready: for who watches it. No patient data, and no token asked."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dibmg_node.errors import IntakePausedError, RetryableError
from dibmg_node.services.intake import Intake
from dibmg_node.storage.views import Views


class HealthService:
    """Answers probes."""

    def __init__(self, intake: Intake, views: Views) -> None:
        self._intake = intake
        self._views = views

    async def live(self, request: Request) -> Response:
        """200: this process answers."""
        return JSONResponse({"live": True})

    def ready(self, request: Request) -> Response:
        """200: instances can be stored; 503: not now, and why."""
        reasons = []
        try:
            self._intake.check_room()
        except (RetryableError, OSError):
            reasons.append("less disk is free than the reserve")
        try:
            self._views.beats()
            self._intake.check_open()
        except IntakePausedError:
            reasons.append("intake is paused")
        except RetryableError:
            reasons.append("the ledger does not answer")
        return JSONResponse({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)
