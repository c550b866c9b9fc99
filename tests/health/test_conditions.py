"""From the node at a glance to what a person should know of."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dibmg_node.domain.pause import Part
from dibmg_node.health.conditions import conditions
from dibmg_node.sections.alarms import AlarmsSection
from tests.factories import START

LIMITS = AlarmsSection()
DEVICE = {
    "series": "0123456789abcdef",
    "manufacturer": "Maker",
    "model": "Unit 1",
    "software": "2.0",
    "state": "no drift",
    "sentence": "Maker Unit 1: PSI 0.3",
}


def forecast(hours: float, prevented: bool = False) -> dict[str, Any]:
    return {"hours_until_reserve": hours, "prevented": prevented}


WELL: dict[str, Any] = {
    "node": "reading-1",
    "pauses": [],
    "oldest_waiting": START - timedelta(minutes=15),
    "analysis_resumed_at": None,
    "overdue": [],
    "destinations": [{"name": "pacs", "refused": 0}],
    "disk": {"free_bytes": 6, "reserve_bytes": 5, "forecast": forecast(24.0)},
    "archive": {"quarantined": 0, "missing": 0, "shared": False},
    "certificates": [{"key": "intake.tls.certificate", "expires_at": START + timedelta(days=31)}],
    "failed_last_day": 0,
    "audit": {
        "lines": 7,
        "syslog": {
            "to": "audit.example:6514",
            "oldest_waiting": (START - timedelta(minutes=15)).isoformat(),
            "error": "",
        },
    },
    "processes": [{"process": "intake@host", "alive": True}],
    "broker": {"answers": True},
    "selftest": {"passed": True, "broken_step": "", "reason": ""},
    "drift": {"devices": [DEVICE]},
}


def found(limits: AlarmsSection = LIMITS, **changed: Any) -> list[tuple[str, str, str]]:
    held = conditions({**WELL, **changed}, limits, START)
    return [(one.key.value, one.subject, one.sentence) for one in held]


def test_a_node_that_is_just_well_enough_has_nothing_to_tell() -> None:
    assert found() == []


CASES: list[tuple[dict[str, Any], dict[str, float], tuple[str, str, str]]] = [
    (
        {"oldest_waiting": START - timedelta(minutes=15, seconds=1)},
        {"waiting_minutes": 0},
        ("waiting", "", "a study waits for its analysis since 2026-03-04T04:51:06+00:00"),
    ),
    (
        {"disk": {"free_bytes": 4, "reserve_bytes": 5, "forecast": None}},
        {"disk_hours": 0},
        ("disk", "reading-1", "reading-1: less disk is free than the reserve: nothing is received"),
    ),
    (
        {"disk": {"free_bytes": None, "reserve_bytes": None}},
        {"disk_hours": 0},
        ("disk", "reading-1", "reading-1: the disk of the archive cannot be looked at"),
    ),
    (
        {"disk": {"free_bytes": 6, "reserve_bytes": 5, "forecast": forecast(23.4)}},
        {"disk_hours": 0},
        ("disk", "reading-1", "reading-1: the disk reaches its reserve in 23 hours"),
    ),
    (
        {"certificates": [{"key": "web.tls.ca", "expires_at": START + timedelta(days=30)}]},
        {"certificate_days": 0},
        ("certificate", "web.tls.ca reading-1", "reading-1: web.tls.ca: expires on 2026-04-03"),
    ),
    (
        {"certificates": [{"key": "web.tls.ca", "expires_at": START}]},
        {"certificate_days": 0},
        ("certificate", "web.tls.ca reading-1", "reading-1: web.tls.ca: expired on 2026-03-04"),
    ),
    (
        {"certificates": [{"key": "web.tls.ca", "expires_at": None}]},
        {"certificate_days": 0},
        ("certificate", "web.tls.ca reading-1", "reading-1: web.tls.ca: its file cannot be read"),
    ),
    (
        {"archive": {"quarantined": 2, "missing": 0, "shared": False}},
        {"quarantine": False},
        (
            "quarantine",
            "reading-1",
            "reading-1: 2 files in quarantine: other bytes came under a known instance UID, "
            "or a file belonged to nothing",
        ),
    ),
    (
        {"archive": {"quarantined": 1, "missing": 0, "shared": True}},
        {"quarantine": False},
        (
            "quarantine",
            "",
            "1 file in quarantine: other bytes came under a known instance UID, "
            "or a file belonged to nothing",
        ),
    ),
    (
        {"failed_last_day": 1},
        {"failed_studies": 0},
        ("failed", "", "1 study failed within a day"),
    ),
    (
        {"audit": {"lines": None, "syslog": None}},
        {"audit_minutes": 0},
        ("audit", "reading-1", "reading-1: the audit trail cannot be read"),
    ),
    (
        {
            "audit": {
                "lines": 7,
                "syslog": {"to": "log:6514", "oldest_waiting": "2026-03-04T04:51:06+00:00", "error": ""},
            }
        },
        {"audit_minutes": 0},
        (
            "audit",
            "log:6514 reading-1",
            "reading-1: audit lines wait since 2026-03-04T04:51:06+00:00 for log:6514",
        ),
    ),
    (
        {"processes": [{"process": "intake@host", "alive": False}]},
        {"processes": False},
        ("process", "intake@host", "intake@host does not run"),
    ),
    (
        {"broker": {"answers": False}},
        {"processes": False},
        ("process", "broker reading-1", "reading-1: the broker does not answer"),
    ),
    (
        {"selftest": {"passed": False, "broken_step": "analysis", "reason": "it was not read"}},
        {"selftest": False},
        ("selftest", "", "the last self-test broke at analysis: it was not read"),
    ),
    (
        {"drift": {"devices": [DEVICE | {"state": "drift"}, DEVICE]}},
        {"drift": False},
        ("drift", "0123456789abcdef", "Maker Unit 1: PSI 0.3"),
    ),
    (
        {"overdue": [{"destination": "pacs", "results": 3, "since": START - timedelta(hours=1)}]},
        {},
        ("delivery", "pacs", "pacs: 3 results not delivered or not proven for more than 60 minutes"),
    ),
    (
        {"destinations": [{"name": "pacs", "refused": 2}]},
        {"delivery_minutes": 0},
        ("refused", "pacs", "pacs: 2 results were refused"),
    ),
]


@pytest.mark.parametrize(("changed", "off", "told"), CASES)
def test_what_is_wrong_is_told_in_a_sentence_and_can_be_left_out(
    changed: dict[str, Any], off: dict[str, float], told: tuple[str, str, str]
) -> None:
    assert found(**changed) == [told]
    if off:
        assert found(AlarmsSection.model_validate(off), **changed) == []


def test_a_limit_of_the_configuration_counts() -> None:
    assert found(AlarmsSection(failed_studies=3), failed_last_day=2) == []
    assert found(AlarmsSection(failed_studies=3), failed_last_day=3) != []


def test_a_study_that_waits_because_analysis_is_paused_is_no_alarm() -> None:
    waiting = START - timedelta(hours=3)

    assert found(oldest_waiting=waiting) != []
    assert found(oldest_waiting=waiting, pauses=[{"part": Part.ANALYSIS, "name": ""}]) == []


def test_a_disk_whose_filling_a_purge_prevents_is_no_alarm() -> None:
    disk = {"free_bytes": 6, "reserve_bytes": 5}

    assert found(disk=disk | {"forecast": forecast(3.0)}) != []
    assert found(disk=disk | {"forecast": forecast(3.0, prevented=True)}) == []


def test_what_two_hosts_see_of_themselves_is_two_alarms_that_name_them() -> None:
    disk = WELL["disk"] | {"free_bytes": 4}

    one, other = found(disk=disk), found(disk=disk, node="reading-2")

    assert one != other
    assert [(subject, sentence.partition(":")[0]) for _, subject, sentence in one + other] == [
        ("reading-1", "reading-1"),
        ("reading-2", "reading-2"),
    ]


def test_after_a_pause_of_the_analysis_studies_have_their_time_anew() -> None:
    waiting, limit = START - timedelta(hours=3), timedelta(minutes=15)

    assert found(oldest_waiting=waiting, analysis_resumed_at=START - limit) == []
    assert found(oldest_waiting=waiting, analysis_resumed_at=START - limit - timedelta(seconds=1)) != []
    assert found(analysis_resumed_at=START - timedelta(days=9)) == []
