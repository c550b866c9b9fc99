"""Everything that an evaluation writes into its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from dibmg.evaluation.cases import draw_cases
from dibmg.evaluation.evaluate import Evaluation
from dibmg.evaluation.model_card import write_model_card
from dibmg.evaluation.plots import plots
from dibmg.evaluation.points_file import operating_points
from dibmg.evaluation.report_html import write_html
from dibmg.evaluation.report_json import report, write_report, write_scores
from dibmg.operating_points import OPERATING_POINTS, write_operating_points

REPORT: Final = "report.json"
PAGE: Final = "report.html"
SCORES: Final = "scores.csv"
MODEL_CARD: Final = "MODEL_CARD.md"


def write_outputs(evaluation: Evaluation, folder: Path) -> dict[str, Any]:
    """Write report, page, scores, model card and, where thresholds were chosen, the operating points.

    A file of operating points that an earlier evaluation left in the folder is taken away where this one
    has none: it would be another set's.

    Returns:
        What `report.json` holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    points, reason = operating_points(evaluation)
    content = report(evaluation, None if points is None else points.version, reason)
    write_report(content, folder / REPORT)
    write_scores(evaluation, folder / SCORES)
    write_model_card(evaluation, folder / MODEL_CARD)
    model = evaluation.model
    cases = draw_cases(evaluation.units, evaluation.decisions[0][0], model.runtime, model.weights.input_size)
    write_html(evaluation, plots(evaluation), cases, points, reason, folder / PAGE)
    # last: a node loads this file, and is to get none whose report was not written
    if points is None:
        (folder / OPERATING_POINTS).unlink(missing_ok=True)
    else:
        write_operating_points(points, folder / OPERATING_POINTS)
    return content
