"""The model card: what the weights are for, what they are not for, and every figure with its interval."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dibmg.evaluation.comparison import Comparison
from dibmg.evaluation.evaluate import Evaluation
from dibmg.evaluation.tables import Table
from dibmg.operating_points import PlattCalibration


def write_model_card(evaluation: Evaluation, path: Path) -> None:
    """Write the card as Markdown."""
    weights = evaluation.model.weights
    first = f"**Not for diagnosis: research use only.** Model card of {weights.name} {weights.version}."
    path.write_text("\n".join([first, "", *card_lines(evaluation)]) + "\n", encoding="utf-8")


def card_lines(evaluation: Evaluation, title: str = "Measured") -> Iterator[str]:
    """Everything below the first line, which says what the weights are not for.

    Args:
        evaluation: Of the weights.
        title: Above the figures.
    """
    weights, units = evaluation.model.weights, evaluation.units
    yield f"# DIB-MG, weights {weights.name} {weights.version}"
    yield ""
    yield (
        "A residual network after Kim et al. 2018 that reads mammograms and gives each exam a score from 0 "
        "to 1, and a map of where it comes from. The score is no probability of cancer."
    )
    yield ""
    yield f"- Trained on: {weights.trained_on or 'not told'}"
    yield f"- License: {weights.license}" + (f"; {weights.attribution}" if weights.attribution else "")
    yield f"- Made by: `{weights.how}`" if weights.how else "- Made by: not told"
    yield f"- SHA-256 of the weights: `{weights.sha256}`"
    yield f"- Input: {weights.input_size} x {weights.input_size} pixels a view, one or more views an exam"
    yield f"- Preprocessing version: {weights.preprocessing_version}"
    yield ""
    yield f"## {title}"
    yield ""
    yield f"On {evaluation.population}. Benign counts as without cancer. Intervals are 95 %."
    if units.dependence:
        yield units.dependence
    yield ""
    yield f"- Area under the ROC curve, interval by DeLong: {evaluation.area.text()}"
    yield f"- The same, interval by bootstrap of patients: {evaluation.area_bootstrap.text()}"
    if evaluation.resampled is not None:
        yield f"- The same after random resampling and blur of every image: {evaluation.resampled.text()}"
    for baseline in (one for one in evaluation.baselines if not one.constant):
        yield f"- {baseline.name.capitalize()} alone ({baseline.sentence}): AUC {baseline.area.text()}"
    yield (
        f"- Hottest cell in the lesion: {evaluation.localization.hits.text(percent=True)} of images"
        + _chance(evaluation.localization.chance)
    )
    for rate, marked in evaluation.froc.at:
        yield f"- Lesions marked at {rate:g} false marks an image: {marked.text(percent=True)}"
    yield ""
    yield "| operating point | threshold | sensitivity | specificity | accuracy |"
    yield "|---|---|---|---|---|"
    for decision, found in evaluation.decisions:
        rates = (found.sensitivity, found.specificity, found.accuracy)
        told = " | ".join(rate.text(percent=True) for rate in rates)
        yield f"| {decision.name} | {decision.threshold:.5g} | {told} |"
    chosen = evaluation.choice.points
    if chosen and chosen[0].cross_validated:
        own = chosen[0].performance
        yield ""
        yield (
            f"{evaluation.choice.name} was chosen on these {units.kind}s; on patients that it was not chosen "
            f"on (5 folds): sensitivity {own.sensitivity.text(percent=True)}, specificity "
            f"{own.specificity.text(percent=True)}."
        )
    yield from _calibration(evaluation)
    for table in evaluation.tables:
        yield from _table(table)
    for compared, comparison in (("models", evaluation.models), ("sets", evaluation.sets)):
        if comparison is not None:
            yield from _comparison(compared, comparison)
    yield ""
    yield "## Limits"
    yield ""
    yield "- Not a medical device; no regulator has seen it. Do not decide on a woman's care by it."
    yield "- Figures hold for images like these; another machine or population gives others."
    yield "- It does not tell kinds of lesion apart, and reads neither earlier images nor tomosynthesis."
    usual, readings = evaluation.model.weights.local_contrast, evaluation.readings
    if usual is not None:
        yield (
            f"- Local contrast of 95 % of the images of training: {usual.low:.3f} to {usual.high:.3f}. "
            "Images with another are named in every result: what it says of them may mean nothing. Here "
            f"{len(readings.unlike)} of {len(readings.images)} are."
        )
    if evaluation.left_out:
        yield f"- {len(evaluation.left_out)} entries of the manifest did not count; `report.json` says why."


def _chance(chance: float | None) -> str:
    return "" if chance is None else f"; by chance {chance:.1%}".replace("%", " %")


def _calibration(evaluation: Evaluation) -> Iterator[str]:
    report = evaluation.calibration
    yield ""
    yield "## Calibration"
    yield ""
    yield f"- Brier score of the scores as they are: {report.raw.brier.text()}"
    if report.fitted is None or report.calibrated is None:
        yield f"- No calibration was fitted: {report.reason}"
        return
    yield f"- Brier score calibrated, on patients that the fit had not seen: {report.calibrated.brier.text()}"
    if isinstance(report.fitted, PlattCalibration):
        yield f"- Platt: slope {report.fitted.slope:.4f}, intercept {report.fitted.intercept:.4f}"
    else:
        yield f"- Isotonic regression with {len(report.fitted.scores)} points"
    yield f"- It holds where {report.fitted.prevalence:.1%} have a cancer".replace("%", " %")


def _table(table: Table) -> Iterator[str]:
    decisions = list(table.rows[0].rates)
    kinds = list(table.rows[0].rates[decisions[0]])
    yield ""
    yield f"## {table.factor.title}"
    yield ""
    yield "| | cancers / all | at | " + " | ".join(kinds) + " | AUC |"
    yield "|---" * (4 + len(kinds)) + "|"
    for row in table.rows:
        for decision in decisions:
            rates = " | ".join(one.text(percent=True) for one in row.rates[decision].values())
            yield f"| {row.name} | {row.positives} / {row.n} | {decision} | {rates} | {row.area.text()} |"
    for decision, tests in table.tests.items():
        told = "; ".join(f"{kind} {test.text()}" for kind, test in tests.items())
        yield ""
        yield f"Difference at {decision}: {told}."
    for decision, effect in table.effects.items():
        yield ""
        yield (
            f"Mass against calcification at {decision}: odds ratio {effect.odds_ratio.text()}, "
            f"{effect.test.text()}."
        )


def _comparison(title: str, comparison: Comparison) -> Iterator[str]:
    yield ""
    yield f"## Comparison of two {title}"
    yield ""
    for side in (comparison.first, comparison.second):
        yield f"- {side.name}: AUC {side.area.text()}, {side.positives} cancers of {side.n}"
    yield f"- Difference: {comparison.difference.figure()}, {comparison.area_test.text()}"
    for decision, tests in comparison.tests.items():
        told = "; ".join(f"{kind} {test.text()}" for kind, test in tests.items())
        yield f"- At {decision}: {told}"
    for note in comparison.notes:
        yield f"- {note}"
