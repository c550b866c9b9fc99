"""Metrics of drift: the figures of every device, as status and dashboard have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily, Metric

from dibmg_node.domain.drift import DriftState

_LABELS: Final = ("manufacturer", "model", "software")
_ENDS: Final = ("value", "low", "high")


def drift_metrics(devices: Sequence[dict[str, Any]]) -> Iterator[Metric]:
    """Gauges by device; a figure that a device does not have is left out.

    Args:
        devices: As `DeviceDrift.as_json` gives them.
    """
    drifts = _family("dibmg_drift", "1: the scores of a device have left their reference.")
    exams = _family("dibmg_drift_exams", "Recent exams of a device.")
    psi = _family("dibmg_drift_psi", "Population stability index, with its 95 % interval.", "end")
    ks = _family("dibmg_drift_ks", "Distance of Kolmogorov and Smirnov.")
    ks_p = _family("dibmg_drift_ks_p", "p of the test of Kolmogorov and Smirnov.")
    recall = _family("dibmg_recall_rate", "Share of recent exams at or above their operating point.", "end")
    before = _family("dibmg_recall_rate_reference", "The same share of the reference.", "end")
    for one in devices:
        labels = [one[name] for name in _LABELS]
        drifts.add_metric(labels, float(one["state"] == DriftState.DRIFTED.value))
        exams.add_metric(labels, one["exams"])
        reference = one["reference"] and one["reference"]["recall"]
        for family, figures in ((psi, one["psi"]), (recall, one["recall"]), (before, reference)):
            for end in _ENDS if figures else ():
                family.add_metric([*labels, end], figures[end])
        if one["ks"]:
            ks.add_metric(labels, one["ks"]["distance"])
            ks_p.add_metric(labels, one["ks"]["p"])
    yield from (drifts, exams, psi, ks, ks_p, recall, before)


def _family(name: str, told: str, *more: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, told, labels=[*_LABELS, *more])
