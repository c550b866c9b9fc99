"""Tables of the ledger. `migrations/` brings a ledger to this form; a test compares the two."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NUMBER = BigInteger().with_variant(Integer, "sqlite")
SUBJECT_LETTERS: Final = 128
"""Letters of an alarm's subject, at most."""


class Instant(TypeDecorator[datetime]):
    """A moment in UTC, stored as microseconds since 1970: sorts and compares on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Aware datetime → microseconds."""
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Microseconds → aware datetime."""
        return None if value is None else instant(value)


def instant(value: int) -> datetime:
    """The moment that a column holds."""
    return _EPOCH + value * _MICROSECOND


metadata = MetaData()

studies = Table(
    "studies",
    metadata,
    Column("study_uid", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("sender", String(16), nullable=False, default=""),
    Column("received_at", Instant, nullable=False),
    Column("receiving_since", Instant, nullable=False),
    Column("last_instance_at", Instant, nullable=False),
    Column("standard_views", Integer, nullable=False, default=0),
    Column("due_at", Instant),
    Column("published_at", Instant),
    Column("attempts", Integer, nullable=False, default=0),
    Column("claimed_by", String(128)),
    Column("claimed_at", Instant),
    Column("lease_until", Instant),
    Column("analyzed_revision", Integer),
    Column("score_exam", Float),
    Column("score_r", Float),
    Column("score_l", Float),
    Column("purged_at", Instant),
    Column("manufacturer", String(64), nullable=False, default="", server_default=""),
    Column("priority", Integer, nullable=False, default=1, server_default="1"),
    Column("priority_set", Integer, nullable=False, default=0, server_default="0"),
    Index("studies_due", "state", "due_at"),
    Index("studies_received", "received_at"),
    Index(
        "studies_filtered",
        "last_instance_at",
        "study_uid",
        "state",
        "sender",
        "manufacturer",
        "score_exam",
    ),
    Index("studies_by_state", "state", "last_instance_at"),
    Index("studies_by_sender", "sender", "last_instance_at"),
    Index("studies_by_manufacturer", "manufacturer", "last_instance_at"),
    Index(
        "studies_to_analyze",
        "priority",
        "last_instance_at",
        sqlite_where=text("state = 'READY'"),
        postgresql_where=text("state = 'READY'"),
    ),
)

delivered_tally = Table(
    "delivered_tally",
    metadata,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("change", BigInteger, nullable=False),
)
"""Entered by triggers on `studies`: see `storage.tally`."""

study_keys = Table(
    "study_keys",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("study_uid", String(64), ForeignKey("studies.study_uid"), primary_key=True),
    Index("study_keys_study", "study_uid"),
)
"""Digests of the accession number and the patient ID: found by who knows the number, told to nobody else.

A digest tells of which kind its number is; rows of earlier versions do not (`dicom.search_keys`).
"""

instances = Table(
    "instances",
    metadata,
    Column("sop_uid", String(64), primary_key=True),
    Column("study_uid", String(64), ForeignKey("studies.study_uid"), nullable=False),
    Column("facts", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("crc32", BigInteger, nullable=False),
    Column("sha256", String(64)),
    Column("sender", String(16), nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("purged_at", Instant),
    Index("instances_study", "study_uid"),
)

removals = Table(
    "removals",
    metadata,
    Column("sop_uid", String(64), primary_key=True),
    Column("study_uid", String(64), nullable=False),
    Column("is_result", Integer, primary_key=True),
    Column("since", Instant, nullable=False),
    Index("removals_study", "study_uid"),
)
"""Files of purged studies that are still to go from the archive: see `storage.removals`."""

verdicts = Table(
    "verdicts",
    metadata,
    Column("study_uid", String(64), ForeignKey("studies.study_uid"), primary_key=True),
    Column("sop_uid", String(64), primary_key=True),
    Column("used", Integer, nullable=False),
    Column("code", String(32), nullable=False),
    Column("sentence", Text, nullable=False),
)

analyses = Table(
    "analyses",
    metadata,
    Column("study_uid", String(64), ForeignKey("studies.study_uid"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reading", Text, nullable=False),
    Index("analyses_at", "at"),
)

score_series = Table(
    "score_series",
    metadata,
    Column("series", String(16), primary_key=True),
    Column("weights_sha256", String(64), nullable=False),
    Column("manufacturer", String(64), nullable=False),
    Column("model", String(64), nullable=False),
    Column("software", String(64), nullable=False),
    Column("since", Instant, nullable=False),
    Index("score_series_weights", "weights_sha256", "since"),
)
"""Exams of one device, read by one set of weights."""

exam_scores = Table(
    "exam_scores",
    metadata,
    Column("study_uid", String(64), ForeignKey("studies.study_uid"), primary_key=True),
    Column("series", String(16), ForeignKey("score_series.series"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("score", Float, nullable=False),
    Column("threshold", Float, nullable=False),
    Index("exam_scores_series", "series", "at", "score", "threshold"),
)

drift_baselines = Table(
    "drift_baselines",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=True),
    Column("weights_sha256", String(64), nullable=False),
    Column("fixed_at", Instant, nullable=False),
    Column("content", Text, nullable=False),
    Index("drift_baselines_weights", "weights_sha256", "version"),
)

follow_ups = Table(
    "follow_ups",
    metadata,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("study_uid", String(64), ForeignKey("studies.study_uid"), nullable=False),
    Column("laterality", String(1), nullable=False, default="", server_default=""),
    Column("truth", String(8), nullable=False),
    Column("found_on", String(10), nullable=False, default="", server_default=""),
    Column("source", String(32), nullable=False, default="", server_default=""),
    Column("entered_at", Instant, nullable=False),
    Column("replaced_at", Instant),
    Index("follow_ups_study", "study_uid", "replaced_at"),
)
"""What became of an exam, of one breast or of both; what was corrected stays, with `replaced_at`."""

follow_up_figures = Table(
    "follow_up_figures",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("content", Text, nullable=False),
)
"""Sensitivity and the like, as they were computed last: pages only show them."""

shadow_due = Table(
    "shadow_due",
    metadata,
    Column("study_uid", String(64), ForeignKey("studies.study_uid"), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("series", String(16), ForeignKey("score_series.series"), nullable=False),
    Column("score", Float, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("findings", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("since", Instant, nullable=False),
    Column("attempts", Integer, nullable=False, default=0, server_default="0"),
    Column("lease_until", Instant),
    Index("shadow_due_since", "since"),
)
"""Exams that the shadow model has still to read, with what the first model found."""

shadow_readings = Table(
    "shadow_readings",
    metadata,
    Column("study_uid", String(64), ForeignKey("studies.study_uid"), primary_key=True),
    Column("weights_sha256", String(64), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("series", String(16), ForeignKey("score_series.series"), nullable=False),
    Column("first_score", Float, nullable=False),
    Column("first_threshold", Float, nullable=False),
    Column("first_findings", Integer, nullable=False),
    Column("first_seconds", Float, nullable=False),
    Column("at", Instant, nullable=False),
    Column("outcome", String(8), nullable=False),
    Column("reason", Text, nullable=False, default="", server_default=""),
    Column("score", Float),
    Column("threshold", Float),
    Column("findings", Integer),
    Column("seconds", Float),
    Column("reading", Text, nullable=False, default="{}", server_default="{}"),
    Index("shadow_readings_weights", "weights_sha256", "outcome", "at"),
)
"""What other weights found in the same exams; nobody is told but those who compare."""

results = Table(
    "results",
    metadata,
    Column("sop_uid", String(64), primary_key=True),
    Column("study_uid", String(64), ForeignKey("studies.study_uid"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("series_uid", String(64), nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("variant", String(32), nullable=False),
    Column("view", String(8), nullable=False),
    Column("withdraws", String(64), nullable=False, server_default=""),
    Column("sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("purged_at", Instant),
    Column("replaced_at", Instant),
    Index("results_study", "study_uid"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("result_uid", String(64), ForeignKey("results.sop_uid"), primary_key=True),
    Column("destination", String(64), primary_key=True),
    Column("study_uid", String(64), ForeignKey("studies.study_uid"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("owed_since", Instant, nullable=False),
    Column("next_at", Instant),
    Column("lease_until", Instant),
    Column("published_at", Instant),
    Column("claimed_by", String(128)),
    Column("status", String(16), nullable=False, default=""),
    Column("comment", Text, nullable=False, default=""),
    Column("settled_at", Instant),
    Column("proof", String(16), nullable=False, server_default="none", default="none"),
    Column("proof_attempts", Integer, nullable=False, server_default="0", default=0),
    Index("deliveries_due", "state", "next_at"),
    Index("deliveries_of_study", "study_uid", "destination"),
    Index("deliveries_owed", "state", "destination", "attempts", "owed_since"),
    Index(
        "deliveries_to_send",
        "destination",
        "next_at",
        sqlite_where=text("state = 'OWED'"),
        postgresql_where=text("state = 'OWED'"),
    ),
    Index(
        "deliveries_waiting",
        "destination",
        "owed_since",
        "attempts",
        sqlite_where=text("state = 'OWED'"),
        postgresql_where=text("state = 'OWED'"),
    ),
    Index("deliveries_settled", "destination", "state", "settled_at"),
)

commitments = Table(
    "commitments",
    metadata,
    Column("transaction_uid", String(64), primary_key=True),
    Column("result_uid", String(64), ForeignKey("results.sop_uid"), primary_key=True),
    Column("destination", String(64), nullable=False),
    Column("study_uid", String(64), ForeignKey("studies.study_uid"), nullable=False),
    Column("asked_at", Instant, nullable=False),
    Index("commitments_study", "study_uid"),
)

alarms = Table(
    "alarms",
    metadata,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("key", String(32), nullable=False),
    Column("subject", String(SUBJECT_LETTERS), nullable=False),
    Column("sentence", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("raised_at", Instant),
    Column("ended_at", Instant),
    Index("alarms_ended", "ended_at"),
)

notices = Table(
    "notices",
    metadata,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("alarm_id", _NUMBER, ForeignKey("alarms.id"), nullable=False),
    Column("channel", String(64), nullable=False),
    Column("event", String(8), nullable=False),
    Column("attempts", Integer, nullable=False, default=0, server_default="0"),
    Column("next_at", Instant, nullable=False),
    Column("lease_until", Instant),
    Column("sent_at", Instant),
    Column("comment", Text, nullable=False, default="", server_default=""),
    Index("notices_once", "alarm_id", "channel", "event", unique=True),
    Index("notices_sent", "channel", "sent_at"),
)

pauses = Table(
    "pauses",
    metadata,
    Column("part", String(16), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("since", Instant, nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("by", String(64), nullable=False, default=""),
    Column("resumed_at", Instant),
)
"""What an operator paused; with `resumed_at`, until then."""

history = Table(
    "history",
    metadata,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("study_uid", String(64), nullable=False),
    Column("at", Instant, nullable=False),
    Column("event", String(64), nullable=False),
    Column("detail", Text, nullable=False, default=""),
    Index("history_study", "study_uid", "id"),
    Index("history_event", "event"),
)

beats = Table(
    "beats",
    metadata,
    Column("process", String(128), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("since", Instant, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("detail", Text, nullable=False, default=""),
)

rejections = Table(
    "rejections",
    metadata,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("peer_address", String(64), nullable=False),
    Column("calling_aet", String(16), nullable=False),
    Column("called_aet", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("times", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
)

selftests = Table(
    "selftests",
    metadata,
    Column("study_uid", String(64), primary_key=True),
    Column("started_at", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("port", Integer, nullable=False),
    Column("digests", Text, nullable=False),
    Column("ended_at", Instant),
    Column("broken_step", String(32), nullable=False, server_default="", default=""),
    Column("reason", Text, nullable=False, server_default="", default=""),
    Column("steps", Text, nullable=False, server_default="[]", default="[]"),
    Index("selftests_started", "started_at"),
)
"""Registered before the first image is sent; the rows of its study go at its end, this one stays."""

nodes = Table(
    "nodes",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("token", String(32), nullable=False),
    Column("roles", String(128), nullable=False),
    Column("program", String(32), nullable=False),
    Column("knows", String(32), nullable=False),
    Column("since", Instant, nullable=False),
    Column("at", Instant, nullable=False),
)
"""The nodes that are up, one row for each `dibmg up`."""

turns = Table(
    "turns",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("until", Instant, nullable=False),
)
"""What one process does at a time, and which."""

marks = Table(
    "marks",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", String(128), nullable=False),
)
"""What the ledger says of itself."""
