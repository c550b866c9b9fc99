"""Metrics for Prometheus, counted from the ledger at every scrape: processes need no memory in common.

No label holds anything of a patient or a study.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from dibmg_node.domain.alarm import AlarmKey
from dibmg_node.storage.pace import Pace
from dibmg_node.web.pages.drift_metrics import drift_metrics
from dibmg_node.web.pages.durations import Durations
from dibmg_node.web.pages.overview import Look


class Metrics:
    """Answers scrapes."""

    def __init__(self, look: Look, pace: Pace, now: Callable[[], datetime]) -> None:
        self._look = look
        self._durations = Durations(pace, now())
        self._now = now
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def metrics(self, request: Request) -> Response:
        """All metrics in the text format."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    def describe(self) -> Sequence[Metric]:
        """Nothing: registering must not ask the ledger."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """What the registry asks for at a scrape."""
        node, now = self._look(), self._now()
        yield from _of_node(node, now)
        yield from _of_machine(node, now)
        yield from _of_destinations(node["destinations"], now)
        yield from _of_selftest(node["selftest"], now)
        yield from _of_shadow(node["shadow"], now)
        yield from drift_metrics(node["drift"]["devices"])
        yield from _of_alarms(node)
        yield from self._durations.collect([row["name"] for row in node["destinations"]], now)


def _of_node(node: dict[str, Any], now: datetime) -> Iterator[Metric]:
    yield _one("dibmg_up", "1: healthy or degraded, 0: down.", float(node["health"] != "down"))
    yield _one("dibmg_healthy", "1: healthy, 0: degraded or down.", float(node["health"] == "healthy"))
    yield _by("dibmg_studies", "Studies in the ledger, by state.", "state", node["studies"])
    yield _paused(node)
    oldest = node["oldest_waiting"]
    yield _one(
        "dibmg_queue_age_seconds",
        "How long the study waits that waits longest for its analysis; 0: none does.",
        (now - oldest).total_seconds() if oldest else 0.0,
    )
    yield _one("dibmg_failed_studies_last_day", "Studies that failed within a day.", node["failed_last_day"])
    yield _processes(node["processes"])
    broker = node["broker"]
    yield _one("dibmg_broker_up", "1: the broker answers.", float(broker["answers"]))
    queues = {name: broker[name] for name in ("analyses", "deliveries") if broker[name] is not None}
    yield _by("dibmg_broker_messages", "Messages that no worker has taken yet.", "queue", queues)
    ages = {name: (now - at).total_seconds() for name, at in node["senders"].items()}
    yield _by("dibmg_sender_silent_seconds", "Since a sender's last image.", "sender", ages)
    model = InfoMetricFamily("dibmg_model", "The model in use.")
    model.add_metric([], {"name": str(node["model"]["name"]), "version": str(node["model"]["version"])})
    yield model


def _processes(rows: Sequence[dict[str, Any]]) -> Metric:
    told = "1: the process of this host gives signs of life."
    family = GaugeMetricFamily("dibmg_process_up", told, labels=["process", "node"])
    for row in rows:
        role, _, host = row["process"].partition("@")
        family.add_metric([role, host], float(row["alive"]))
    return family


def _of_selftest(test: dict[str, Any], now: datetime) -> Iterator[Metric]:
    if test["at"] is None:
        return
    yield _one("dibmg_selftest_success", "1: the last self-test passed, 0: it broke.", float(test["passed"]))
    yield _one(
        "dibmg_selftest_age_seconds", "Since the last self-test ended.", (now - test["at"]).total_seconds()
    )
    yield _one("dibmg_selftest_seconds", "How long the last self-test took.", test["seconds"])


def _of_shadow(shadow: dict[str, Any] | None, now: datetime) -> Iterator[Metric]:
    if shadow is None:
        return
    age = (now - shadow["oldest"]).total_seconds() if shadow["oldest"] else 0.0
    yield _one("dibmg_shadow_waiting", "Exams that the shadow model has still to read.", shadow["waiting"])
    yield _one("dibmg_shadow_age_seconds", "How long the oldest exam waits for the shadow model.", age)
    counts = {name: shadow[f"{name}_last_day"] for name in ("read", "excluded", "failed")}
    told = "Readings of the shadow model within a day, by how they ended."
    yield _by("dibmg_shadow_readings_last_day", told, "outcome", counts)


def _of_machine(node: dict[str, Any], now: datetime) -> Iterator[Metric]:
    for key, told in (
        ("free_bytes", "Free on the disk of the archive."),
        ("reserve_bytes", "Less free than this, and nothing is received."),
    ):
        if node["disk"][key] is not None:
            yield _one(f"dibmg_disk_{key}", told, node["disk"][key])
    hours = (node["disk"]["forecast"] or {}).get("hours_until_reserve")
    if hours is not None:
        told = "Until the reserve is reached at the rate of the last day, if nothing is purged."
        yield _one("dibmg_disk_until_reserve_seconds", told, 3600 * hours)
    yield _one("dibmg_ledger_bytes", "Size of the ledger.", node["ledger"]["bytes"])
    for key, told in (
        ("quarantined", "Files in quarantine: a person has to look at them."),
        ("missing", "Received images that are gone from the archive."),
    ):
        yield _one(f"dibmg_archive_{key}_files", told, node["archive"][key])
    expiries = {
        row["key"]: row["expires_at"].timestamp() for row in node["certificates"] if row["expires_at"]
    }
    told = "When a certificate of the configuration expires."
    yield _by("dibmg_certificate_expiry_timestamp_seconds", told, "certificate", expiries)
    syslog = node["audit"]["syslog"]
    if syslog:
        yield _one("dibmg_audit_waiting_lines", "Audit lines not passed on yet.", syslog["waiting"])
        oldest = syslog["oldest_waiting"]
        age = (now - datetime.fromisoformat(oldest)).total_seconds() if oldest else 0.0
        yield _one("dibmg_audit_age_seconds", "How long the oldest audit line waits to be passed on.", age)


def _of_alarms(node: dict[str, Any]) -> Iterator[Metric]:
    held = Counter(row["key"] for row in node["alarms"])
    counts = {key.value: held[key.value] for key in AlarmKey}
    yield _by("dibmg_alarms", "Alarms that hold now, by what they are about.", "alarm", counts)
    owed = {row["name"]: row["owed"] for row in node["alarm_channels"]}
    yield _by("dibmg_alarm_messages", "Messages that a channel has not told yet.", "channel", owed)


def _paused(node: dict[str, Any]) -> Metric:
    family = GaugeMetricFamily(
        "dibmg_paused", "1: an operator paused this part of the node.", labels=["part", "name"]
    )
    found = {(str(one["part"]), one["name"]) for one in node["pauses"]}
    parts = {
        ("intake", ""),
        ("analysis", ""),
        *(("destination", row["name"]) for row in node["destinations"]),
    }
    for part, name in sorted(parts | found):
        family.add_metric([part, name], float((part, name) in found))
    return family


def _of_destinations(rows: Sequence[dict[str, Any]], now: datetime) -> Iterator[Metric]:
    for key, told in (
        ("owed", "Results owed to a destination; 10,000 where they are more."),
        ("failing", "Results owed whose last attempt failed."),
        ("refused", "Results that a destination refused."),
        ("unproven", "Results that a destination has and is still to prove."),
    ):
        values = {row["name"]: row[key] for row in rows}
        yield _by(f"dibmg_deliveries_{key}", told, "destination", values)
    ages = {
        row["name"]: (now - row["owed_since"]).total_seconds() if row["owed_since"] else 0.0 for row in rows
    }
    yield _by("dibmg_delivery_age_seconds", "How long the oldest result is owed.", "destination", ages)
    reached = {row["name"]: float(row["reachable"]) for row in rows if row["reachable"] is not None}
    told = "0: nothing answered when something was last sent to a destination."
    yield _by("dibmg_destination_reachable", told, "destination", reached)


def _one(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(name, told, value=value)


def _by(name: str, told: str, label: str, values: dict[str, Any]) -> Metric:
    family = GaugeMetricFamily(name, told, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
