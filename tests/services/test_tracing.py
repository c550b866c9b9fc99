"""Spans of a study's way: whole, in their order, and of nobody."""

from __future__ import annotations

import subprocess
from datetime import timedelta

import pytest

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.services.tracing import Span, Tracer, trace_id
from dibmg_node.storage.ledger import Ledger
from tests.factories import R_CC, START, STUDY_UID, Clock, instance
from tests.storage.life import analysis, claim, make_ready, settle, store


def seconds(span: Span) -> tuple[float, float]:
    return (span.start - START).total_seconds(), (span.end - START).total_seconds()


def read(ledger: Ledger, clock: Clock) -> None:
    """Four images at once, five minutes' wait, a reading of ten seconds."""
    make_ready(ledger, clock)
    claimed = claim(ledger, clock)
    found = analysis()
    reading = {"findings": [], "seconds": {"decode": 2.0, "network": 5.0}}
    clock.advance(10)
    ledger.claims.commit(claimed, type(found)(**{**vars(found), "reading": reading}), clock())


def test_a_study_is_one_trace_of_what_was_received_waited_for_analyzed_and_delivered(
    ledger: Ledger, clock: Clock
) -> None:
    spans: list[Span] = []
    tracer = Tracer(ledger.pace, spans.extend, clock)
    read(ledger, clock)
    tracer.analyzed(STUDY_UID, 4, START)
    began = clock.advance(1)
    clock.advance(3)
    settle(ledger, clock, DeliveryState.STORED)
    tracer.delivered(STUDY_UID, "pacs", began)

    named = {one.name: one for one in spans}
    assert {name: seconds(one) for name, one in named.items()} == {
        "study": (0, 310),
        "receive": (0, 0),
        "wait": (0, 300),
        "analyze": (300, 310),
        "decode": (303, 305),
        "network": (305, 310),
        "deliver": (311, 314),
    }
    parents = {one.name: one.parent_id for one in spans}
    assert parents["study"] is None
    assert {parents[name] for name in ("receive", "wait", "analyze", "deliver")} == {named["study"].span_id}
    assert {parents[name] for name in ("decode", "network")} == {named["analyze"].span_id}
    assert {one.trace_id for one in spans} == {trace_id(STUDY_UID, 4)}
    assert len({one.span_id for one in spans}) == len(spans)
    assert named["deliver"].attributes == {
        "dibmg.destination": "pacs",
        "dibmg.attempt": 1,
        "dibmg.results": 1,
        "dibmg.held": 1,
    }
    assert STUDY_UID not in str(spans)


def test_every_attempt_to_deliver_is_a_span_of_its_own(ledger: Ledger, clock: Clock) -> None:
    spans: list[Span] = []
    tracer = Tracer(ledger.pace, spans.extend, clock)
    read(ledger, clock)
    for state in (DeliveryState.OWED, DeliveryState.STORED):
        began = clock.advance(60)
        settle(ledger, clock, state)
        tracer.delivered(STUDY_UID, "pacs", began)

    assert [(one.attributes["dibmg.attempt"], one.attributes["dibmg.held"]) for one in spans] == [
        (1, 0),
        (2, 1),
    ]
    assert len({one.span_id for one in spans}) == 2


def test_a_message_that_was_dropped_is_not_traced_again(ledger: Ledger, clock: Clock) -> None:
    spans: list[Span] = []
    read(ledger, clock)

    Tracer(ledger.pace, spans.extend, clock).analyzed(STUDY_UID, 4, clock() + timedelta(seconds=1))

    assert spans == []


def test_a_study_that_has_moved_on_since_is_not_traced_with_another_revisions_times(
    ledger: Ledger, clock: Clock
) -> None:
    spans: list[Span] = []
    read(ledger, clock)
    store(ledger, clock, [instance(R_CC, sop_uid="1.2.9")])

    Tracer(ledger.pace, spans.extend, clock).analyzed(STUDY_UID, 4, START)

    assert spans == []


def test_where_nobody_listens_nothing_is_asked_of_the_ledger(ledger: Ledger, clock: Clock) -> None:
    tracer = Tracer(ledger.pace, None, clock)

    tracer.analyzed(STUDY_UID, 1, START)
    tracer.delivered(STUDY_UID, "pacs", START)

    assert ledger.engine.pool.checkedout() == 0


@pytest.mark.parametrize("revision", [1, 4])
def test_the_trace_of_a_study_is_found_as_the_readme_says(revision: int) -> None:
    text = f"printf '%s' 'dibmg-trace {STUDY_UID} {revision}' | sha256sum | cut -c -32"

    found = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True).stdout.strip()

    assert f"{trace_id(STUDY_UID, revision):032x}" == found
