"""Plots of the report: ROC, FROC, calibration and histograms, as SVG."""

from __future__ import annotations

from io import StringIO
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from dibmg.data.manifest import Label
from dibmg.evaluation.calibration import Reliability
from dibmg.evaluation.evaluate import Evaluation
from dibmg.evaluation.units import UnitSet

BLUE: Final = "#2563a8"
ORANGE: Final = "#d9730d"
GRAY: Final = "#8a929c"
RED: Final = "#b3261e"
INK: Final = "#22272e"

_STYLE: Final = {
    "font.size": 10,
    "axes.edgecolor": "#c4cad1",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": "#59636e",
    "ytick.color": "#59636e",
    "svg.hashsalt": "dibmg",
    "svg.fonttype": "path",
}
_COLORS: Final = {Label.NORMAL: BLUE, Label.BENIGN: GRAY, Label.CANCER: RED}


def plots(evaluation: Evaluation) -> dict[str, str]:
    """Every plot that the figures allow, as SVG by name: `roc`, `scores`, `calibration`, `froc`."""
    style: dict[Any, Any] = dict(_STYLE)
    with mpl.rc_context(style):
        found = {"scores": _scores(evaluation)}
        if evaluation.area.value is not None:
            found["roc"] = _roc(evaluation)
            found["calibration"] = _calibration(evaluation)
        if evaluation.froc.lesions:
            found["froc"] = _froc(evaluation)
    return found


def _roc(evaluation: Evaluation) -> str:
    figure, axes = _square("1 - specificity", "sensitivity")
    axes.plot([0, 1], [0, 1], color="#d5dae0", linewidth=1)
    name = evaluation.model.weights.name
    _curve(axes, evaluation.units, BLUE, f"{name}: AUC {evaluation.area.figure()}")
    if evaluation.models is not None and evaluation.other_units is not None:
        other = evaluation.models.second
        _curve(axes, evaluation.other_units, ORANGE, f"{other.name}: AUC {other.area.figure()}")
    for decision, performance in evaluation.decisions[:2]:
        sensitivity, specificity = performance.sensitivity.value, performance.specificity.value
        if sensitivity is None or specificity is None:
            continue
        axes.plot(
            1 - specificity,
            sensitivity,
            "o" if decision is evaluation.decisions[0][0] else "s",
            color=BLUE,
            markeredgecolor="white",
            markersize=8,
            label=f"at {decision.name}" if len(decision.name) < 30 else "at the operating point",
        )
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    return _svg(figure)


def _curve(axes: Any, units: UnitSet, color: str, label: str) -> None:
    false_positive, true_positive, _ = roc_curve(units.labels, units.scores)
    axes.plot(false_positive, true_positive, color=color, linewidth=2, label=label)


def _scores(evaluation: Evaluation) -> str:
    figure, axes = _plain("score", str(evaluation.units.kind) + "s")
    units = evaluation.units
    order = (Label.NORMAL, Label.BENIGN, Label.CANCER)
    kinds = [label for label in order if any(unit.label is label for unit in units.units)]
    values = [[unit.score for unit in units.units if unit.label is label] for label in kinds]
    axes.hist(
        values,
        bins=np.linspace(0, 1, 26),
        color=[_COLORS[label] for label in kinds],
        label=[f"{label} ({len(own)})" for label, own in zip(kinds, values, strict=True)],
        stacked=True,
        edgecolor="white",
        linewidth=0.5,
    )
    axes.axvline(evaluation.decisions[0][0].threshold, color=INK, linewidth=1, linestyle="--")
    axes.set_xlim(0, 1)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=9)
    return _svg(figure)


def _calibration(evaluation: Evaluation) -> str:
    figure, axes = _square("mean score or probability", "share with cancer")
    axes.plot([0, 1], [0, 1], color="#d5dae0", linewidth=1)
    report = evaluation.calibration
    _bins(axes, report.raw, GRAY, "scores")
    if report.calibrated is not None:
        _bins(axes, report.calibrated, BLUE, "calibrated, unseen patients")
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    return _svg(figure)


def _bins(axes: Any, reliability: Reliability, color: str, label: str) -> None:
    at = [one.score for one in reliability.bins]
    observed = np.array([one.observed.value or 0.0 for one in reliability.bins])
    low = np.array([one.observed.low or 0.0 for one in reliability.bins])
    high = np.array([one.observed.high or 0.0 for one in reliability.bins])
    ends = np.stack([observed - low, high - observed]).clip(0.0)
    text = f"{label}: Brier {reliability.brier.value:.3f}"
    axes.errorbar(
        at,
        observed,
        yerr=ends,
        color=color,
        marker="o",
        markersize=5,
        linewidth=1.5,
        elinewidth=1,
        label=text,
    )


def _froc(evaluation: Evaluation) -> str:
    figure, axes = _plain("false marks an image", "share of lesions marked")
    curve = evaluation.froc
    axes.plot(curve.false_marks, curve.sensitivity, color=BLUE, linewidth=2)
    for rate, one in curve.at:
        if one.value is None or one.low is None or one.high is None:
            continue
        ends = np.array([[one.value - one.low], [one.high - one.value]]).clip(0.0)
        axes.errorbar([rate], [one.value], yerr=ends, color=BLUE, marker="o", markersize=5, elinewidth=1)
    axes.set_xlim(0, max(2.2, min(4.0, float(curve.false_marks[-1]))))
    axes.set_ylim(0, 1.02)
    return _svg(figure)


def _square(across: str, up: str) -> tuple[Figure, Any]:
    figure, axes = _plain(across, up)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02)
    return figure, axes


def _plain(across: str, up: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(5.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(color="#eceff2", linewidth=0.8)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.tick_params(length=0)
    return figure, axes


def _svg(figure: Figure) -> str:
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
