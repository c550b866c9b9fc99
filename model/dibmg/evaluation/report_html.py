"""The report for people: one HTML file that needs nothing beside it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from dibmg.evaluation.cases import CaseGroup
from dibmg.evaluation.confound import SENTENCE
from dibmg.evaluation.estimate import Estimate
from dibmg.evaluation.evaluate import Evaluation
from dibmg.evaluation.groups import factors
from dibmg.operating_points import OperatingPoints


def write_html(
    evaluation: Evaluation,
    drawings: dict[str, str],
    cases: Sequence[CaseGroup],
    points: OperatingPoints | None,
    points_reason: str,
    path: Path,
) -> None:
    """Write the page.

    Args:
        evaluation: The figures.
        drawings: SVG by name, of `plots`.
        cases: Of `draw_cases`.
        points: What was written to the file of operating points; None: nothing, for `points_reason`.
        points_reason: Why there is no such file.
        path: Of the page.
    """
    shown = {table.factor.name for table in evaluation.tables}
    missing = [one.title for one in factors(evaluation.units) if one.name not in shown]
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            e=evaluation,
            weights=evaluation.model.weights,
            units=evaluation.units,
            primary=evaluation.decisions[0],
            drawings={name: _uri("image/svg+xml", svg.encode()) for name, svg in drawings.items()},
            cases=cases,
            points=points,
            points_reason=points_reason,
            missing=missing,
            resampling=SENTENCE,
        )
    )
    path.write_text(page, encoding="utf-8")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dibmg.evaluation"),
        autoescape=select_autoescape(["html", "j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "jpeg": _jpeg}
    return environment


def _percent(estimate: Estimate) -> str:
    return estimate.text(percent=True) if estimate.value is not None else "–"


def _jpeg(content: bytes) -> str:
    return _uri("image/jpeg", content)


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"
