"""A PACS that is down for an hour, by a clock that a test moves: everything arrives once."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import timedelta

import pytest
from pacs import free_port
from pynetdicom.events import Event

from dibmg_node.dicom import facts
from dibmg_node.dicom.encode import encode
from dibmg_node.domain.alarm import AlarmKey, Condition
from dibmg_node.domain.result import ResultKind
from dibmg_node.services.alarm_watch import AlarmWatch
from dibmg_node.services.cstore import CStoreSender
from dibmg_node.services.delivery import Courier
from dibmg_node.services.sweep import Sweep
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from tests.factories import PATIENCE, R_CC, STUDY_UID, Clock, a_result, instance
from tests.services.parcels import capture, report
from tests.services.test_cstore import Peer
from tests.services.test_sweep import MemoryPublisher
from tests.storage.life import analysis, store

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""pynetdicom leaves the socket of a failed connection to the garbage collector."""

STUDIES = 3
WATCH = "dibmg_node.services.alarm_watch"


class Outage:
    """A node's delivering side and its sweep, over one clock."""

    def __init__(self, archive: Archive, ledger: Ledger, clock: Clock) -> None:
        self._archive, self._ledger, self._clock = archive, ledger, clock
        self._publisher = MemoryPublisher()
        self._sweep = Sweep(ledger, self._publisher, clock)
        self._watch = AlarmWatch(
            self._overdue, ledger.alarms, ledger.notices, {}, timedelta(0), timedelta(0), clock, "node"
        )

    def live(self, seconds: int, port: int, step: int = 15) -> int:
        """Let time pass, with the PACS at a port; the number of sends that were tried."""
        senders = {"pacs": CStoreSender("DIBMG", "PACS", "127.0.0.1", port)}
        courier = Courier(self._archive, self._ledger.outbox, senders, self._clock)
        tried = 0
        for _ in range(seconds // step):
            self._clock.advance(step)
            self._sweep.run()
            self._watch.watch()
            hints, self._publisher.deliveries = self._publisher.deliveries, []
            tried += sum(courier.deliver(study_uid, name) for study_uid, _, name in hints)
        return tried

    def _overdue(self) -> list[Condition]:
        late = self._ledger.overdue.before(self._clock() - timedelta(hours=1))
        return [Condition(AlarmKey.DELIVERY, one.destination, "not delivered") for one in late]


def owe(archive: Archive, ledger: Ledger, clock: Clock) -> set[str]:
    """Studies with a report and an overlay each, owed to `pacs`; UIDs of all results."""
    uids = set()
    for number in range(STUDIES):
        study_uid = f"{STUDY_UID}.{number}"
        store(ledger, clock, [instance(R_CC, study_uid=study_uid, sop_uid=f"{study_uid}.1")])
        ledger.receipts.complete_due(clock.advance(PATIENCE.longest.total_seconds()))
        claim = ledger.claims.claim(study_uid, 1, "worker", clock(), timedelta(minutes=5))
        results = []
        for dataset, kind in (
            (capture(f"2.25.1{number}"), ResultKind.OVERLAY),
            (report(f"2.25.2{number}"), ResultKind.CAD_SR),
        ):
            uid = str(dataset.SOPInstanceUID)
            results.append(a_result(uid, kind, archive.put_result(uid, encode(dataset, facts.EXPLICIT_LE))))
            uids.add(uid)
        ledger.claims.commit(claim, analysis(results), clock())
    return uids


def told_by(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the watch has told so far."""
    return [one.message for one in caplog.records if one.name == WATCH]


def test_after_an_hour_without_the_pacs_everything_arrives_once_and_the_alarm_ends(
    archive: Archive, ledger: Ledger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, WATCH)
    results = owe(archive, ledger, clock)
    outage = Outage(archive, ledger, clock)

    away = free_port()
    tried = outage.live(2400, port=away)
    before = told_by(caplog)
    tried += outage.live(1260, port=away)
    with_alarm = told_by(caplog)
    owed = ledger.views.destination("pacs").owed
    with Peer().running() as peer:
        outage.live(900, port=peer.port)

    assert (owed, before, with_alarm) == (2 * STUDIES, [], ["alarm"])
    # 1 s, doubled up to 15 min, for the destination and not for each study: a dozen tries, not hundreds
    assert tried <= 3 * STUDIES + 12
    assert Counter(peer.order) == dict.fromkeys(results, 1)
    assert ledger.views.count_by_state()["DELIVERED"] == STUDIES
    assert told_by(caplog) == ["alarm", "alarm over"]


def test_a_pacs_that_stores_and_dies_before_it_answers_has_everything_once_by_its_uid(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    results = owe(archive, ledger, clock)
    outage = Outage(archive, ledger, clock)

    def store_and_die(event: Event) -> int:
        event.assoc.abort()
        return 0x0000

    with Peer(store_and_die).running() as dying:
        outage.live(60, port=dying.port)
    with Peer().running() as peer:
        outage.live(900, port=peer.port)

    assert dying.kept
    assert Counter(peer.order) == dict.fromkeys(results, 1)
    assert all(peer.kept[uid][0] == dying.kept[uid][0] for uid in dying.kept)
    assert ledger.views.count_by_state()["DELIVERED"] == STUDIES
