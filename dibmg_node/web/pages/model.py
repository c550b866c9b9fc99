"""The page about the model: weights, operating points, drift of every device, durations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from dibmg_node.domain.drift import DriftState, recall_over_time
from dibmg_node.storage.ledger import Ledger
from dibmg_node.web.pages.overview import Look, median
from dibmg_node.web.pages.plots import draw_distributions, draw_rates
from dibmg_node.web.pages.template import Templates

_DRAWN: Final = 6
"""Devices with drawings; the others have theirs when they are asked for."""
_RATES: Final = 8


class ModelPages:
    """Shows the model in use, and whether its scores have moved."""

    def __init__(self, look: Look, ledger: Ledger, templates: Templates) -> None:
        self._look = look
        self._pace = ledger.pace
        self._scores = ledger.exam_scores
        self._follow_ups = ledger.follow_ups
        self._templates = templates

    def model(self, request: Request) -> Response:
        """Model and drift; `?device=` names the one whose drawings are wanted."""
        node, wanted = self._look(), request.query_params.get("device", "")
        drift = node["drift"]
        # devices that drift come first, whatever came last
        devices = sorted(drift["devices"], key=lambda one: one["state"] != DriftState.DRIFTED.value)
        asked = [one for one in devices if one["series"] == wanted]
        shown = asked or devices[:_DRAWN]
        return self._templates.page(
            request,
            "model",
            model=node["model"],
            drift=drift,
            devices=devices,
            shadow=node["shadow"],
            # computed by who imports outcomes: this process has no statistics
            outcomes=self._follow_ups.figures(),
            drawings=self._drawings(shown, drift["minimum"]),
            steps=[(name, median(seconds), max(seconds)) for name, seconds in self._pace.steps().items()],
        )

    def _drawings(self, devices: Sequence[dict[str, Any]], size: int) -> list[dict[str, Any]]:
        found = []
        exams = self._scores.newest({one["series"]: None for one in devices}, _RATES * size)
        for one in devices:
            reference = one["reference"]
            rates = recall_over_time(exams[one["series"]].recalled, size)
            found.append(
                {
                    "device": one,
                    "scores": draw_distributions(
                        one["histogram"], reference and reference["histogram"], one["threshold"]
                    ),
                    "rates": draw_rates([asdict(rate) for rate in rates], reference and reference["recall"]),
                    "size": size,
                    "figures": rates,
                }
            )
        return found
