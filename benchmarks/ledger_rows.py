# ruff: noqa: E501 - SQL reads better in whole lines
"""What fills the tables of a ledger: SQL that makes the rows of every study of a table `seed` of numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.study import STANDARD_VIEWS, Study, ViewKey
from dibmg_node.services.images import Images, StudyFiles
from dibmg_node.services.reading import read_study
from dibmg_node.services.reading_json import reading_json
from dibmg_node.storage.facts_json import dump_facts
from tests.factories import FakePredictor, instance, write_exam

PACS: Final = "pacs"
"""Wants every result and proves what it keeps; it has been down for days."""
REPORTING: Final = "reporting"
"""Wants reports alone."""
_STUDY, _SOP = "@STUDY@", "@SOP@"
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_VIEWS: Final = {str(key): place for place, key in enumerate(STANDARD_VIEWS, 1)}


@dataclass(frozen=True)
class _Dialect:
    """What the two databases say differently.

    Attributes:
        digest: 32 characters that depend on n, without an order.
        real: Type of a quotient.
    """

    digest: str
    real: str


_DIALECTS: Final = {
    "sqlite": _Dialect("printf('%016x%016x', ((n + 1) * :salt) % 4611686018427387847, n)", "REAL"),
    "postgresql": _Dialect("md5(((n + 1) * :salt)::text)", "DOUBLE PRECISION"),
}


def statements(end: datetime, dialect: str) -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """By table, what fills it."""
    words = _DIALECTS[dialect]
    now = {"now": micros(end)}
    yield "studies", [(_STUDIES, now)]
    yield (
        "study_keys",
        [
            (
                f"INSERT INTO study_keys (key, study_uid) SELECT {words.digest} AS k, uid FROM seed ORDER BY k",
                {"salt": salt},
            )
            for salt in (48271, 69621)
        ],
    )
    yield "instances", [(_INSTANCES, {**_facts(key), "place": place}) for key, place in _places()]
    yield "verdicts", [(_VERDICTS, {"view": str(key), "place": place}) for key, place in _places()]
    yield "analyses", [(_ANALYSES, {"reading": _reading()})]
    yield "results", [(_REPORTS, {})] + [(_OVERLAYS, {"view": v, "place": p}) for v, p in _VIEWS.items()]
    yield (
        "deliveries",
        [(_DELIVERIES, {**now, "destination": name}) for name in (PACS, REPORTING)],
    )
    yield "history", [(_history(), {})]
    yield "alarms and the rest", list(_rest(end))


def _places() -> Iterator[tuple[ViewKey, int]]:
    return ((key, place) for place, key in enumerate(STANDARD_VIEWS, 1))


_MAKER: Final = "CASE device % 3 WHEN 0 THEN 'Maker' WHEN 1 THEN 'Other' ELSE 'Third' END"

_STUDIES: Final = f"""
INSERT INTO studies (study_uid, state, revision, reason, sender, received_at, receiving_since, last_instance_at,
  standard_views, due_at, published_at, attempts, claimed_by, claimed_at, lease_until, analyzed_revision,
  score_exam, score_r, score_l, purged_at, manufacturer, priority, priority_set)
SELECT uid, state, 4,
  CASE state WHEN 'FAILED' THEN 'pacs refused (0xA900)' WHEN 'EXCLUDED' THEN 'missing views: L-MLO' ELSE '' END,
  'MG' || device, at - 60000000, at - 60000000, at, CASE WHEN state = 'RECEIVING' THEN 0 ELSE 1 END,
  CASE WHEN state = 'RECEIVING' THEN :now + 3600000000 END,
  CASE WHEN state = 'READY' THEN :now + 3600000000 WHEN state = 'RECEIVING' THEN NULL ELSE at + 2000000 END,
  CASE WHEN state IN ('RECEIVING', 'READY', 'CANCELED') THEN 0 ELSE 1 END,
  CASE WHEN state = 'ANALYZING' THEN 'analysis@host' END,
  CASE WHEN state IN ('RECEIVING', 'READY', 'CANCELED') THEN NULL ELSE at + 3000000 END,
  CASE WHEN state = 'ANALYZING' THEN :now + 3600000000 END,
  CASE WHEN state IN ('ANALYZED', 'DELIVERED', 'EXCLUDED', 'FAILED') THEN 4 END,
  CASE WHEN state IN ('ANALYZED', 'DELIVERED', 'FAILED') THEN score END,
  CASE WHEN state IN ('ANALYZED', 'DELIVERED', 'FAILED') THEN score END,
  CASE WHEN state IN ('ANALYZED', 'DELIVERED', 'FAILED') THEN score / 2 END,
  CASE WHEN age > :now / 94608000000000 + 300000 AND state = 'DELIVERED' THEN at + 2592000000000 END,
  {_MAKER}, CASE WHEN n % 100 = 0 THEN 0 ELSE 1 END, 0
FROM seed
"""

_INSTANCES: Final = f"""
INSERT INTO instances (sop_uid, study_uid, facts, size, crc32, sha256, sender, received_at)
SELECT uid || '.0.' || CAST(:place AS VARCHAR(8)), uid,
  replace(replace(CAST(:facts AS TEXT), '{_SOP}', uid || '.0.' || CAST(:place AS VARCHAR(8))), '{_STUDY}', uid),
  27000000 + n % 1000, n * 7919 % 4294967291,
  CASE WHEN state IN ('ANALYZED', 'DELIVERED', 'EXCLUDED', 'FAILED') THEN CAST(:sha256 AS VARCHAR(64)) END,
  'MG' || device, at - 60000000 + :place * 15000000
FROM seed
"""

_READ: Final = "state IN ('ANALYZED', 'DELIVERED', 'EXCLUDED', 'FAILED')"
SCORED: Final = "state IN ('ANALYZED', 'DELIVERED', 'FAILED')"

_VERDICTS: Final = f"""
INSERT INTO verdicts (study_uid, sop_uid, used, code, sentence)
SELECT uid, uid || '.0.' || CAST(:place AS VARCHAR(8)), CASE WHEN state = 'EXCLUDED' THEN 0 ELSE 1 END,
  CASE WHEN state = 'EXCLUDED' THEN 'BREAST_INCOMPLETE' ELSE 'USED' END, 'read as ' || CAST(:view AS VARCHAR(8))
FROM seed WHERE {_READ}
"""

_ANALYSES: Final = f"""
INSERT INTO analyses (study_uid, revision, at, outcome, reading)
SELECT uid, 4, at + 12000000, CASE state WHEN 'EXCLUDED' THEN 'excluded' ELSE 'analyzed' END,
  replace(CAST(:reading AS TEXT), '{_STUDY}', uid)
FROM seed WHERE {_READ}
"""

_RESULT: Final = """
INSERT INTO results (sop_uid, study_uid, revision, series_uid, sop_class_uid, transfer_syntax_uid, kind, variant,
  view, sha256, size)
"""
_SHA256: Final = "'0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'"
_REPORTS: Final = f"""{_RESULT}
SELECT uid || '.9001.0', uid, 4, uid || '.9001', '1.2.840.10008.5.1.4.1.1.88.50', '1.2.840.10008.1.2.1', 'cad-sr',
  'density', '', {_SHA256}, 24000
FROM seed WHERE {_READ}
"""
_OVERLAYS: Final = f"""{_RESULT}
SELECT uid || '.9101.' || CAST(:place AS VARCHAR(8)), uid, 4, uid || '.9101', '1.2.840.10008.5.1.4.1.1.7',
  '1.2.840.10008.1.2.1', 'overlay', '', CAST(:view AS VARCHAR(8)), {_SHA256}, 9000000
FROM seed WHERE {SCORED}
"""

_DELIVERIES: Final = f"""
INSERT INTO deliveries (result_uid, destination, study_uid, revision, state, attempts, owed_since, next_at,
  published_at, status, comment, settled_at, proof, proof_attempts)
SELECT sop_uid, CAST(:destination AS VARCHAR(64)), uid, 4, sent, CASE WHEN sent = 'OWED' THEN 3 ELSE 1 END,
  at + 12000000,
  CASE WHEN sent = 'OWED' THEN :now + 900000000 WHEN unproven THEN :now + 3600000000 END,
  NULL,
  CASE sent WHEN 'OWED' THEN '' WHEN 'REFUSED' THEN '0xA900' ELSE '0x0000' END,
  CASE sent WHEN 'OWED' THEN 'no association: connection refused' WHEN 'REFUSED' THEN 'refused' ELSE '' END,
  CASE WHEN sent = 'OWED' THEN NULL ELSE at + 15000000 + n % 30 * 1000000 END,
  CASE WHEN sent IN ('PROVEN', 'STORED') AND :destination = '{PACS}' THEN 'query' ELSE 'none' END, 0
FROM (
  SELECT results.sop_uid, uid, at, n, age,
    CASE
      WHEN :destination = '{REPORTING}' THEN 'STORED'
      WHEN seed.state = 'ANALYZED' THEN 'OWED'
      WHEN seed.state = 'FAILED' AND results.kind = 'cad-sr' THEN 'REFUSED'
      WHEN age < 500 THEN 'STORED'
      ELSE 'PROVEN'
    END AS sent,
    age < 500 AND :destination = '{PACS}' AS unproven
  FROM seed JOIN results ON results.study_uid = uid
  WHERE :destination = '{PACS}' OR results.kind = 'cad-sr'
) AS made
"""


def _history() -> str:
    """Ten entries of a study that went its way."""
    steps = [
        ("instance stored", f"uid || '.0.{place}'", -60_000_000 + place * 15_000_000, "1 = 1")
        for place in _VIEWS.values()
    ]
    begun = "state NOT IN ('RECEIVING', 'READY', 'CANCELED')"
    steps += [
        ("complete", "'four standard views'", 2_000_000, "state <> 'RECEIVING'"),
        ("claimed", "'attempt 1 by analysis@host'", 3_000_000, begun),
        ("reported", "''", 12_000_000, SCORED),
        ("excluded", "'missing views: L-MLO'", 12_000_000, "state = 'EXCLUDED'"),
        ("sent", f"'to {REPORTING}: STORED 0x0000'", 14_000_000, _READ),
        ("sent", f"'to {PACS}: STORED 0x0000'", 15_000_000, "state IN ('DELIVERED', 'EXCLUDED')"),
        (
            "not sent, tried again later",
            f"'to {PACS}: OWED no association: connection refused'",
            15_000_000,
            "state = 'ANALYZED'",
        ),
        ("all delivered", "''", 15_000_000, "state = 'DELIVERED'"),
        ("delivery refused", "'pacs refused (0xA900)'", 15_000_000, "state = 'FAILED'"),
        # files that an inspection did not find, and that came again
        ("file missing", "uid || '.0.1'", 86_400_000_000, "n % 5000 = 4"),
        ("file back", "uid || '.0.1'", 90_000_000_000, "n % 5000 = 4"),
    ]
    selects = [
        f"SELECT uid AS study_uid, at + {after} AS moment, '{event}' AS event, {detail} AS detail "
        f"FROM seed WHERE {condition}"
        for event, detail, after, condition in steps
    ]
    union = " UNION ALL ".join(selects)
    # in the order in which it happened, as in life
    return (
        "INSERT INTO history (study_uid, at, event, detail) "
        f"SELECT study_uid, moment, event, detail FROM ({union}) AS happened ORDER BY moment"
    )


def _rest(end: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    """Alarms of the last month, with what channels told of them; pauses that are over; who was turned away."""
    for number in range(203):
        since = micros(end - timedelta(hours=3 * number))
        ended = since + 3_600_000_000 if number > 2 else None
        yield (
            "INSERT INTO alarms (key, subject, sentence, since, seen_at, raised_at, ended_at) "
            "VALUES ('delivery', :subject, 'results are not delivered', :since, :since, :since, :ended)",
            {"subject": f"{PACS} {number}", "since": since, "ended": ended},
        )
    for event in ("begin", "end"):
        yield (
            "INSERT INTO notices (alarm_id, channel, event, attempts, next_at, sent_at) "
            "SELECT id, 'ops', CAST(:event AS VARCHAR(8)), 1, since, since FROM alarms "
            "WHERE :event = 'begin' OR ended_at IS NOT NULL",
            {"event": event},
        )
    at = {"at": micros(end)}
    yield (
        'INSERT INTO pauses (part, name, since, reason, "by", resumed_at) VALUES '
        f"('analysis', '', :at - 7200000000, 'new weights', 'eve', :at - 3600000000), "
        f"('destination', '{REPORTING}', :at - 7200000000, 'maintenance', 'eve', :at - 3600000000)",
        at,
    )
    for number in range(20):
        yield (
            "INSERT INTO rejections (peer_address, calling_aet, called_aet, reason, times, at) "
            "VALUES (:peer, 'SCANNER', 'OTHER', 'called AE title', 1000, :at)",
            {"peer": f"192.0.2.{number}", **at},
        )
    for role in ("intake", "sweep", "analysis", "delivery", "web"):
        yield (
            "INSERT INTO beats (process, at, since, pid, detail) VALUES (:process, :at, :at, 1, '')",
            {"process": f"{role}@host", **at},
        )


def _facts(key: ViewKey) -> Mapping[str, Any]:
    facts = dump_facts(instance(key, study_uid=_STUDY, sop_uid=_SOP, series_uid=f"{_STUDY}.100"))
    return {"facts": facts, "sha256": "fedcba9876543210" * 4}


def _reading() -> str:
    """What the node says of an exam that it read, with findings in all views."""
    with TemporaryDirectory() as folder:
        paths = write_exam(Path(folder), "1.2.3")
        images = [instance(key, study_uid="1.2.3", sop_uid=f"1.2.3.0.{place}") for key, place in _places()]
        files = StudyFiles(
            Study("1.2.3", 4, tuple(images)), {one.sop_uid: p for one, p in zip(images, paths, strict=True)}
        )
        found = reading_json(read_study(files, ExamPolicy(), Images(FakePredictor())))
    steps = {"read": 0.4, "prepare": 1.1, "network": 6.2, "localize": 0.3, "write": 0.8}
    return (
        json.dumps({**found, "seconds": steps})
        .replace("1.2.3.0.", f"{_STUDY}.0.")
        .replace('"1.2.3"', f'"{_STUDY}"')
    )


def micros(moment: datetime) -> int:
    """A moment as the ledger keeps it: microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
