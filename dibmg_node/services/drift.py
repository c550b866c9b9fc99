"""Drift of the scores of every device: recent exams of the ledger against a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from dibmg_node.domain.device import Device, most_specific
from dibmg_node.domain.drift import (
    Comparison,
    DriftLimits,
    DriftState,
    Measured,
    compare,
    histogram,
    judge,
    rate,
)
from dibmg_node.domain.score_reference import ScoreReference, references
from dibmg_node.storage.drift_baselines import Baseline, DriftBaselines
from dibmg_node.storage.exam_scores import ExamScores, Series, SeriesExams

MOST_DEVICES: Final = 20
"""Devices that one look compares, those with the newest exams: a page must not wait for more."""

_compare_once: Final = lru_cache(4 * MOST_DEVICES)(compare)
"""Who looks every few seconds compares what is new alone."""


@dataclass(frozen=True)
class DriftPolicy:
    """What a site calls recent, and what drift.

    Attributes:
        exams: The newest ones of a device, at most.
        age: None of them older; None: whatever its age.
    """

    exams: int
    age: timedelta | None
    limits: DriftLimits


@dataclass(frozen=True)
class DeviceDrift:
    """The recent exams of one device.

    Attributes:
        series: Its name in the ledger.
        exams: How many they are.
        first, last: When they were read; None without exams.
        threshold: In use: that the last one was read at.
        recall: Share at or above it.
        reference: What they were held against; None: there is none.
        found: None without a reference, or where the exams are too few.
        recent: Histogram of their scores, and of the reference's: shares of the twentieths of 0..1.
    """

    series: str
    device: Device
    state: DriftState
    exams: int
    first: datetime | None
    last: datetime | None
    threshold: float | None
    recall: Measured | None
    reference: ScoreReference | None
    found: Comparison | None
    recent: Sequence[float]

    @property
    def sentence(self) -> str:
        """What is said of it, with the figures."""
        name = str(self.device) or "unnamed devices"
        if self.found is None or self.recall is None or self.reference is None:
            return f"{name}: {self.state} ({self.exams} recent)"
        found, before = self.found, self.found.reference_recall
        against = str(self.reference.device) or "all devices"
        return (
            f"{name}: the newest {self.exams} exams against {self.reference.exams} of {against}: "
            f"PSI {_figures(found.psi)}, KS {found.ks:.3f} (p {_probability(found.ks_p)}), "
            f"recall {_figures(self.recall, 100)} %, before {_figures(before, 100)} % "
            f"(p {_probability(found.recall_p)})"
        )

    def as_json(self) -> dict[str, Any]:
        """For programs and pages."""
        found, reference = self.found, self.reference
        return {
            **asdict(self.device),
            "series": self.series,
            "state": self.state.value,
            "sentence": self.sentence,
            "exams": self.exams,
            "first": self.first,
            "last": self.last,
            "threshold": self.threshold,
            "recall": self.recall and asdict(self.recall),
            "recall_p": found and found.recall_p,
            "psi": found and asdict(found.psi),
            "ks": found and {"distance": found.ks, "p": found.ks_p},
            "histogram": list(self.recent),
            "reference": reference
            and {
                **asdict(reference.device),
                "exams": reference.exams,
                "recall": found and asdict(found.reference_recall),
                "histogram": histogram(reference.scores),
            },
        }


@dataclass(frozen=True)
class DriftReport:
    """Every device.

    Attributes:
        reference: What they are held against, in words.
        minimum: Exams without which nothing is said.
        devices: That with the newest exam first.
    """

    reference: str
    minimum: int
    devices: Sequence[DeviceDrift]

    @property
    def warnings(self) -> Mapping[str, str]:
        """What a person should look at, in words, by the name of the device."""
        moved = [one for one in self.devices if one.state is DriftState.DRIFTED]
        return {str(one.device) or "unnamed devices": f"drift: {one.sentence}" for one in moved}

    def as_json(self) -> dict[str, Any]:
        """For programs and pages."""
        devices = [one.as_json() for one in self.devices]
        return {"reference": self.reference, "minimum": self.minimum, "devices": devices}


class DriftWatch:
    """Compares what the ledger has with what it is held against."""

    def __init__(
        self, scores: ExamScores, baselines: DriftBaselines, policy: DriftPolicy, weights_sha256: str
    ) -> None:
        """Make a watch.

        Args:
            scores: Of the exams.
            baselines: That the site has fixed.
            policy: Of the site.
            weights_sha256: Of the weights in use: what others read is left out.
        """
        self._scores = scores
        self._baselines = baselines
        self._policy = policy
        self._weights = weights_sha256

    def look(self, shipped: Sequence[ScoreReference], origin: str, now: datetime) -> DriftReport:
        """Compare every device.

        Args:
            shipped: References that came with the operating points: in force until the site fixes its own.
            origin: What they come from, in words.
            now: The time.
        """
        told, given = "none: fix one with 'dibmg drift baseline'", shipped
        if shipped:
            told = origin
        baseline = self._baselines.newest(self._weights)
        if baseline is not None:
            given = baseline.references
            told = f"baseline {baseline.version} of this node, fixed on {baseline.fixed_at:%Y-%m-%d}"
        series = self._scores.series(self._weights)[:MOST_DEVICES]
        by_device = {one.device.key: one for one in given}
        # exams that a baseline was made of are not held against it; after what a clock that ran ahead has
        # dated there would be none
        until = {name: min(at, baseline.fixed_at) for name, at in baseline.until.items()} if baseline else {}
        oldest = self._policy.age and now - self._policy.age
        after = {
            one.name: max((at for at in (until.get(one.name), oldest) if at and at <= now), default=None)
            for one in series
        }
        recent = self._scores.newest(after, self._policy.exams)
        devices = [
            self._compare(one, most_specific(by_device, one.device), recent[one.name]) for one in series
        ]
        return DriftReport(told, self._policy.limits.minimum, devices)

    def fix(self, exams: int, since: datetime | None, now: datetime) -> Baseline | None:
        """Fix a baseline of the first exams of every device.

        Args:
            exams: Of each device, at most.
            since: Those read before it do not count; None: all do.
            now: The time.

        Returns:
            None where there are too few exams for any, even all devices together.
        """
        scored: list[tuple[Device, float]] = []
        until: dict[str, datetime] = {}
        for one in self._scores.series(self._weights):
            first = self._scores.first(one.name, exams, since)
            scored += [(one.device, score) for score in first.scores]
            if first.last is not None:
                until[one.name] = first.last
        if len(scored) < self._policy.limits.minimum:
            return None
        found = references(scored, self._policy.limits.minimum)
        return self._baselines.fix(self._weights, found, until, now)

    def _compare(self, one: Series, reference: ScoreReference | None, recent: SeriesExams) -> DeviceDrift:
        policy = self._policy
        exams, threshold = len(recent.scores), recent.threshold
        recall = found = None
        if threshold is not None:
            # not each at its own operating point: the reference has but one, and a change of it is no drift
            recall = rate(sum(score >= threshold for score in recent.scores), exams)
            if reference is not None and exams >= policy.limits.minimum:
                found = _compare_once(tuple(recent.scores), threshold, reference)
        return DeviceDrift(
            series=one.name,
            device=one.device,
            state=judge(exams, recall, found, policy.limits),
            exams=exams,
            first=recent.first,
            last=recent.last,
            threshold=threshold,
            recall=recall,
            reference=reference,
            found=found,
            recent=histogram(recent.scores),
        )


def _figures(one: Measured, factor: float = 1.0) -> str:
    value, low, high = (factor * figure for figure in (one.value, one.low, one.high))
    digits = 1 if factor == 100 else 2
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _probability(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.3f}"
