"""Conditions: which of the facts of `health.look` a person should know of at once.

One rule is one function here; what else can be wrong with a node adds its own to `_RULES` or `_LOCAL_RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from dibmg_node.domain.alarm import AlarmKey, Condition
from dibmg_node.domain.counted import counted
from dibmg_node.domain.drift import DriftState
from dibmg_node.domain.pause import Part
from dibmg_node.sections.alarms import AlarmsSection

Facts = Mapping[str, Any]
"""The node at a glance, as `health.look` gives it."""
_Rule = Callable[[Facts, AlarmsSection, datetime], Iterator[Condition]]


def conditions(found: Facts, limits: AlarmsSection, now: datetime) -> list[Condition]:
    """What holds now that should not, by every rule.

    Args:
        found: The node at a glance.
        limits: From where on it counts.
        now: The time.
    """
    node = found["node"]
    held = [condition for rule in _RULES for condition in rule(found, limits, now)]
    for rule in _LOCAL_RULES:
        for one in rule(found, limits, now):
            subject = f"{one.subject} {node}".strip()
            # whichever host tells it signs with its own name
            held.append(replace(one, subject=subject, sentence=f"{node}: {one.sentence}"))
    return held


def hours_left(forecast: Mapping[str, Any] | None) -> float | None:
    """Hours until the reserve is reached; None: it is not, or a purge prevents it, or nobody can tell."""
    if forecast is None or forecast["prevented"]:
        return None
    hours: float | None = forecast["hours_until_reserve"]
    return hours


def overlong_wait(found: Facts, limits: AlarmsSection, now: datetime) -> str | None:
    """What is told of a study that waits too long for its analysis; None: none does, or that is paused.

    After a pause each has its time anew.
    """
    oldest, resumed = found["oldest_waiting"], found["analysis_resumed_at"]
    if (
        not limits.waiting_minutes
        or not oldest
        or any(one["part"] == Part.ANALYSIS for one in found["pauses"])
    ):
        return None
    if now - max(oldest, resumed or oldest) <= timedelta(minutes=limits.waiting_minutes):
        return None
    return f"a study waits for its analysis since {oldest.isoformat(timespec='seconds')}"


def overlong_audit(found: Facts, limits: AlarmsSection, now: datetime) -> str | None:
    """What is told of audit lines that wait too long to be passed on; None: none do."""
    syslog = found["audit"]["syslog"]
    oldest = syslog and syslog["oldest_waiting"]
    if not limits.audit_minutes or not oldest:
        return None
    if now - datetime.fromisoformat(oldest) <= timedelta(minutes=limits.audit_minutes):
        return None
    why = f": {syslog['error']}" if syslog["error"] else ""
    return f"audit lines wait since {oldest} for {syslog['to']}{why}"


def _waiting(found: Facts, limits: AlarmsSection, now: datetime) -> Iterator[Condition]:
    if told := overlong_wait(found, limits, now):
        yield Condition(AlarmKey.WAITING, "", told)


def _delivery(found: Facts, limits: AlarmsSection, now: datetime) -> Iterator[Condition]:
    for one in found["overdue"]:
        told = (
            f"{one['destination']}: {counted(one['results'], 'result')} not delivered or not proven for more "
            f"than {counted(limits.delivery_minutes, 'minute')}"
        )
        yield Condition(AlarmKey.DELIVERY, one["destination"], told)


def _refused(found: Facts, limits: AlarmsSection, now: datetime) -> Iterator[Condition]:
    for one in found["destinations"] if limits.delivery_minutes else ():
        if one["refused"]:
            told = f"{one['name']}: {counted(one['refused'], 'result was', 'results were')} refused"
            yield Condition(AlarmKey.REFUSED, one["name"], told)


def _disk(found: Facts, limits: AlarmsSection, now: datetime) -> Iterator[Condition]:
    disk = found["disk"]
    if not limits.disk_hours:
        return
    if disk["free_bytes"] is None:
        yield Condition(AlarmKey.DISK, "", "the disk of the archive cannot be looked at")
    elif disk["free_bytes"] < disk["reserve_bytes"]:
        yield Condition(AlarmKey.DISK, "", "less disk is free than the reserve: nothing is received")
    elif (hours := hours_left(disk["forecast"])) is not None and hours < limits.disk_hours:
        yield Condition(AlarmKey.DISK, "", f"the disk reaches its reserve in {counted(round(hours), 'hour')}")


def _quarantine(found: Facts, limits: AlarmsSection, now: datetime) -> Iterator[Condition]:
    files = found["archive"]["quarantined"]
    if limits.quarantine and files:
        told = (
            f"{counted(files, 'file')} in quarantine: other bytes came under a known instance UID, "
            "or a file belonged to nothing"
        )
        yield Condition(AlarmKey.QUARANTINE, "", told)


def _shared_quarantine(found: Facts, limits: AlarmsSection, now: datetime) -> Iterator[Condition]:
    """That of a folder that several hosts share is told once."""
    if found["archive"]["shared"]:
        yield from _quarantine(found, limits, now)


def _own_quarantine(found: Facts, limits: AlarmsSection, now: datetime) -> Iterator[Condition]:
    if not found["archive"]["shared"]:
        yield from _quarantine(found, limits, now)


def _certificate(found: Facts, limits: AlarmsSection, now: datetime) -> Iterator[Condition]:
    before = timedelta(days=limits.certificate_days)
    for one in found["certificates"] if before else ():
        key, at = one["key"], one["expires_at"]
        if at is None:
            yield Condition(AlarmKey.CERTIFICATE, key, f"{key}: its file cannot be read")
        elif at - now <= before:
            word = "expired" if at <= now else "expires"
            yield Condition(AlarmKey.CERTIFICATE, key, f"{key}: {word} on {at:%Y-%m-%d}")


def _failed(found: Facts, limits: AlarmsSection, now: datetime) -> Iterator[Condition]:
    failed = found["failed_last_day"]
    if limits.failed_studies and failed >= limits.failed_studies:
        yield Condition(AlarmKey.FAILED, "", f"{counted(failed, 'study', 'studies')} failed within a day")


def _audit(found: Facts, limits: AlarmsSection, now: datetime) -> Iterator[Condition]:
    if limits.audit_minutes and found["audit"]["lines"] is None:
        yield Condition(AlarmKey.AUDIT, "", "the audit trail cannot be read")
    if told := overlong_audit(found, limits, now):
        yield Condition(AlarmKey.AUDIT, found["audit"]["syslog"]["to"], told)


def _processes(found: Facts, limits: AlarmsSection, now: datetime) -> Iterator[Condition]:
    if not limits.processes:
        return
    for one in found["processes"]:
        if not one["alive"]:
            yield Condition(AlarmKey.PROCESS, one["process"], f"{one['process']} does not run")


def _broker(found: Facts, limits: AlarmsSection, now: datetime) -> Iterator[Condition]:
    if limits.processes and not found["broker"]["answers"]:
        yield Condition(AlarmKey.PROCESS, "broker", "the broker does not answer")


def _selftest(found: Facts, limits: AlarmsSection, now: datetime) -> Iterator[Condition]:
    test = found["selftest"]
    if limits.selftest and test["passed"] is False:
        told = f"the last self-test broke at {test['broken_step']}: {test['reason']}"
        yield Condition(AlarmKey.SELFTEST, "", told)


def _drift(found: Facts, limits: AlarmsSection, now: datetime) -> Iterator[Condition]:
    for one in found["drift"]["devices"] if limits.drift else ():
        if one["state"] == DriftState.DRIFTED.value:
            yield Condition(AlarmKey.DRIFT, one["series"], one["sentence"])


_RULES: Final[tuple[_Rule, ...]] = (
    _waiting,
    _delivery,
    _refused,
    _failed,
    _processes,
    _selftest,
    _drift,
    _shared_quarantine,
)
_LOCAL_RULES: Final[tuple[_Rule, ...]] = (
    _disk,
    _own_quarantine,
    _certificate,
    _audit,
    _broker,
)
"""About the host that looks; the others are about all that share the ledger."""
