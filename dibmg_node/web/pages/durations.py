"""Histograms of what was done since the web server started: read from the ledger, each entry once."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from dibmg_node.storage.analysis_rows import Outcome
from dibmg_node.storage.pace import Pace

SETTLED_AFTER: Final = timedelta(seconds=10)
"""What is entered under a time may be seen a little later: the clocks of several hosts differ."""
LONGEST_LOOK: Final = timedelta(hours=1)
"""What was done while nobody asked for longer than this is not counted: a scrape must not take long."""
BOUNDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0)


class _Histogram:
    """Counts of durations, in seconds."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        place = next((n for n, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS))
        self._counts[place] += 1
        self._sum += max(seconds, 0.0)  # clocks of two hosts

    def enter(self, family: HistogramMetricFamily, label: str) -> None:
        total, buckets = 0, []
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        family.add_metric([label], buckets, self._sum)


class Durations:
    """What Prometheus takes the differences of; it begins anew with the process, as Prometheus expects."""

    def __init__(self, pace: Pace, now: datetime) -> None:
        """Count from now on."""
        self._pace = pace
        self._lock = threading.Lock()
        self._counted_until = now - SETTLED_AFTER
        self._steps: dict[str, _Histogram] = {}
        self._deliveries: dict[str, _Histogram] = {}
        self._outcomes = {outcome.value: 0 for outcome in Outcome}

    def collect(self, destinations: Sequence[str], now: datetime) -> Iterator[Metric]:
        """Count what has been done since the last time, and give it all."""
        with self._lock:
            self._count(destinations, now - SETTLED_AFTER)
            steps = HistogramMetricFamily(
                "dibmg_step_duration_seconds",
                "Duration of a step: receive (first to last image), wait (to a worker), analysis (to the "
                "results), and within that read, prepare, network, localize and write.",
                labels=["step"],
            )
            for name, histogram in sorted(self._steps.items()):
                histogram.enter(steps, name)
            deliveries = HistogramMetricFamily(
                "dibmg_delivery_duration_seconds",
                "From owed to stored, or to proven where the destination is to prove it.",
                labels=["destination"],
            )
            for name in destinations:
                self._deliveries[name].enter(deliveries, name)
            analyses = CounterMetricFamily(
                "dibmg_analyses", "Analyses, by how they ended.", labels=["outcome"]
            )
            for outcome, count in self._outcomes.items():
                analyses.add_metric([outcome], count)
        yield from (steps, deliveries, analyses)

    def _count(self, destinations: Sequence[str], until: datetime) -> None:
        after = max(self._counted_until, until - LONGEST_LOOK)
        courses = self._pace.between(after, until)
        delivered = {name: self._pace.delivered(name, after, until) for name in destinations}
        # only now is nothing in the way any more: what the ledger does not answer is counted the next time
        for course in courses:
            self._outcomes[course.outcome] += 1
            for step, seconds in (*course.steps(), *course.seconds.items()):
                self._steps.setdefault(step, _Histogram()).add(seconds)
        for name, several in delivered.items():
            histogram = self._deliveries.setdefault(name, _Histogram())
            for seconds in several:
                histogram.add(seconds)
        self._counted_until = max(self._counted_until, until)
