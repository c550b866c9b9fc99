from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.result import ResultKind
from dibmg_node.errors import LedgerConflictError, PeerRefusedError, PeerUnavailableError
from dibmg_node.services.delivery import LEASE, Courier, Parcel
from dibmg_node.services.scu import TIMEOUT_SECONDS
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.outbox import Outbox
from dibmg_node.storage.settlement import UNSENT, Settlement
from tests.factories import STUDY_UID, Clock, a_result
from tests.storage.life import analysis, analyze, deliveries_of, make_ready, reason_of, state_of

Answer = Callable[[Parcel], Settlement]


def stored(parcel: Parcel) -> Settlement:
    return Settlement(parcel.sop_uid, DeliveryState.STORED, "0x0000", "")


def refused(parcel: Parcel) -> Settlement:
    return Settlement(parcel.sop_uid, DeliveryState.REFUSED, "0xC000", "cannot understand")


@dataclass
class RecordingSender:
    """Keeps what it is given, and answers as it is told."""

    answer: Answer = stored
    error: Exception | None = None
    sent: list[list[Parcel]] = field(default_factory=list)

    def send(self, parcels: Sequence[Parcel]) -> Sequence[Settlement]:
        self.sent.append(list(parcels))
        if self.error is not None:
            raise self.error
        return [self.answer(parcel) for parcel in parcels]


@pytest.fixture
def owed(archive: Archive, ledger: Ledger, clock: Clock) -> Ledger:
    """A ledger that owes a report and an overlay to `pacs`."""
    results = [
        replace(one, sha256=archive.put_result(one.sop_uid, one.sop_uid.encode()))
        for one in (a_result(), a_result("2.25.2", ResultKind.OVERLAY))
    ]
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(results))
    return ledger


class WatchedOutbox(Outbox):
    """Tells when a claim was renewed."""

    renewed = threading.Event()

    def renew(
        self, study_uid: str, destination: str, now: datetime, lease: timedelta, owner: str = ""
    ) -> None:
        super().renew(study_uid, destination, now, lease, owner)
        self.renewed.set()

    def wait(self) -> None:
        """Return when a claim was renewed that nobody had begun to renew before."""
        for _ in range(2):
            self.renewed.clear()
            assert self.renewed.wait(30)


def statuses_of(ledger: Ledger) -> list[str]:
    study = ledger.views.study(STUDY_UID)
    assert study is not None
    return [one["status"] for one in study["deliveries"]]


def courier(archive: Archive, ledger: Ledger, clock: Clock, sender: RecordingSender) -> Courier:
    return Courier(archive, ledger.outbox, {"pacs": sender}, clock)


def test_everything_owed_goes_in_one_parcel_list_with_the_report_last(
    archive: Archive, owed: Ledger, clock: Clock
) -> None:
    sender = RecordingSender()

    courier(archive, owed, clock, sender).deliver(STUDY_UID, "pacs")

    ((overlay, report),) = sender.sent
    assert (overlay.sop_uid, report.sop_uid) == ("2.25.2", "2.25.1")
    assert (report.content, report.is_report, overlay.is_report) == (b"2.25.1", True, False)
    assert state_of(owed) == "DELIVERED"


def test_a_message_that_comes_twice_sends_nothing_twice(archive: Archive, owed: Ledger, clock: Clock) -> None:
    sender = RecordingSender()
    one = courier(archive, owed, clock, sender)

    one.deliver(STUDY_UID, "pacs")
    one.deliver(STUDY_UID, "pacs")
    one.deliver("1.2.3", "pacs")

    assert len(sender.sent) == 1


def test_a_peer_that_is_away_is_tried_again(archive: Archive, owed: Ledger, clock: Clock) -> None:
    sender = RecordingSender(error=PeerUnavailableError("PACS at 1.2.3.4:104: no association"))
    one = courier(archive, owed, clock, sender)

    one.deliver(STUDY_UID, "pacs")

    assert deliveries_of(owed) == [("2.25.1", "OWED"), ("2.25.2", "OWED")]
    assert owed.views.destination("pacs").comment == "PACS at 1.2.3.4:104: no association"
    sender.error = None
    clock.advance(1)
    one.deliver(STUDY_UID, "pacs")
    assert state_of(owed) == "DELIVERED"


def test_a_result_that_may_have_arrived_stays_in_doubt_while_the_peer_is_away(
    archive: Archive, owed: Ledger, clock: Clock
) -> None:
    sender = RecordingSender(error=PeerUnavailableError("no answer", in_doubt=True))
    one = courier(archive, owed, clock, sender)
    one.deliver(STUDY_UID, "pacs")
    sender.error = PeerUnavailableError("no connection")

    clock.advance(1)
    one.deliver(STUDY_UID, "pacs")

    clock.advance(2)
    again = owed.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    assert [result.in_doubt for result in again] == [True, True]


def test_a_peer_that_wants_to_be_left_alone_is_left_alone(
    archive: Archive, owed: Ledger, clock: Clock
) -> None:
    sender = RecordingSender(error=PeerUnavailableError("busy", timedelta(minutes=10)))

    courier(archive, owed, clock, sender).deliver(STUDY_UID, "pacs")

    assert owed.outbox.due(clock.advance(599), clock()) == []
    assert owed.outbox.due(clock.advance(1), clock()) == [(STUDY_UID, 4, "pacs")]


def test_a_peer_that_refuses_everything_is_not_tried_again(
    archive: Archive, owed: Ledger, clock: Clock
) -> None:
    sender = RecordingSender(error=PeerRefusedError("association rejected 1/1/3"))

    courier(archive, owed, clock, sender).deliver(STUDY_UID, "pacs")

    assert deliveries_of(owed) == [("2.25.1", "REFUSED"), ("2.25.2", "REFUSED")]
    assert reason_of(owed) == "pacs refused (association rejected 1/1/3)"


def test_each_result_is_settled_by_itself(archive: Archive, owed: Ledger, clock: Clock) -> None:
    sender = RecordingSender(lambda p: refused(p) if p.sop_uid == "2.25.2" else stored(p))

    courier(archive, owed, clock, sender).deliver(STUDY_UID, "pacs")

    assert deliveries_of(owed) == [("2.25.1", "STORED"), ("2.25.2", "REFUSED")]
    assert (state_of(owed), reason_of(owed)) == ("FAILED", "pacs refused (0xC000)")


def test_a_destination_that_is_no_longer_configured_refuses(
    archive: Archive, owed: Ledger, clock: Clock
) -> None:
    Courier(archive, owed.outbox, {}, clock).deliver(STUDY_UID, "pacs")

    assert {state for _, state in deliveries_of(owed)} == {"REFUSED"}
    assert "no destination of this name" in reason_of(owed)


def test_a_lease_outlives_the_time_outs_of_one_association() -> None:
    results_of_a_study = 6

    assert LEASE.total_seconds() > (results_of_a_study + 2) * TIMEOUT_SECONDS


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"other")])
def test_a_result_that_is_damaged_in_the_archive_is_not_sent_and_the_others_are(
    archive: Archive, owed: Ledger, clock: Clock, harm: Callable[[Path], object]
) -> None:
    sender = RecordingSender()
    known = replace(courier(archive, owed, clock, sender), archive_identity=archive.give_identity())
    harm(archive.result_path("2.25.2"))

    known.deliver(STUDY_UID, "pacs")

    assert deliveries_of(owed) == [("2.25.1", "STORED"), ("2.25.2", "REFUSED")]
    assert reason_of(owed) == "pacs refused (the archived result is damaged or gone)"


@pytest.mark.parametrize("in_its_place", ["nothing", "another archive"])
def test_while_the_archive_is_away_nothing_is_refused_and_once_it_is_back_it_goes_out(
    archive: Archive, owed: Ledger, clock: Clock, in_its_place: str
) -> None:
    sender, away = RecordingSender(), archive.root.with_name("away")
    one = replace(courier(archive, owed, clock, sender), archive_identity=archive.give_identity())
    archive.root.rename(away)
    archive.prepare()
    if in_its_place != "nothing":
        archive.give_identity()
        archive.put_result("2.25.1", b"other")

    one.deliver(STUDY_UID, "pacs")

    assert deliveries_of(owed) == [("2.25.1", "OWED"), ("2.25.2", "OWED")]
    assert owed.views.destination("pacs").comment == (
        "the archive cannot be read: not the archive of the ledger, or it does not answer"
    )
    archive.root.rename(archive.root.with_name("other"))
    away.rename(archive.root)
    clock.advance(1)
    one.deliver(STUDY_UID, "pacs")
    assert (len(sender.sent), state_of(owed)) == (1, "DELIVERED")


def test_a_result_that_cannot_be_read_says_nothing_of_the_destination(
    archive: Archive, owed: Ledger, clock: Clock
) -> None:
    path = archive.result_path("2.25.2")
    path.unlink()
    path.mkdir()

    courier(archive, owed, clock, RecordingSender()).deliver(STUDY_UID, "pacs")

    assert deliveries_of(owed) == [("2.25.1", "STORED"), ("2.25.2", "OWED")]
    assert statuses_of(owed) == ["0x0000", UNSENT]
    assert owed.views.destination("pacs").comment == "the archive cannot be read: Is a directory"


def test_an_unexpected_error_is_seen_in_the_ledger_and_backed_off(
    archive: Archive, owed: Ledger, clock: Clock
) -> None:
    sender = RecordingSender(error=AttributeError("Doe^Jane"))

    courier(archive, owed, clock, sender).deliver(STUDY_UID, "pacs")

    assert owed.views.destination("pacs").comment == "unexpected AttributeError while sending"
    assert owed.outbox.due(clock(), clock()) == []
    assert len(owed.outbox.due(clock.advance(1), clock())) == 1


def test_a_claim_is_kept_for_as_long_as_a_slow_send_takes(
    archive: Archive, owed: Ledger, clock: Clock
) -> None:
    outbox = WatchedOutbox(owed.engine, lambda: 0.5)

    def slowly(parcel: Parcel) -> Settlement:
        clock.advance(0.8 * LEASE.total_seconds())
        outbox.wait()
        with pytest.raises(LedgerConflictError):
            outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
        return stored(parcel)

    senders = {"pacs": RecordingSender(slowly)}
    slow = Courier(archive, outbox, senders, clock, renew_every=timedelta(milliseconds=10))

    slow.deliver(STUDY_UID, "pacs")

    assert {state for _, state in deliveries_of(owed)} == {"STORED"}


def stranger(archive: Archive, ledger: Ledger, clock: Clock, others_are_up: bool) -> Courier:
    """A host that does not know the destination."""
    return Courier(archive, ledger.outbox, {}, clock, others_are_up=lambda: others_are_up)


def test_a_destination_that_a_host_does_not_know_yet_is_left_to_the_others(
    archive: Archive, owed: Ledger, clock: Clock
) -> None:
    sender = RecordingSender()

    assert not stranger(archive, owed, clock, others_are_up=True).deliver(STUDY_UID, "pacs")

    courier(archive, owed, clock, sender).deliver(STUDY_UID, "pacs")
    assert (len(sender.sent), state_of(owed)) == (1, "DELIVERED")


@pytest.mark.parametrize(("others_are_up", "waited"), [(False, 0), (True, 3600)])
def test_a_destination_that_nobody_knows_is_refused(
    archive: Archive, owed: Ledger, clock: Clock, others_are_up: bool, waited: int
) -> None:
    clock.advance(waited)

    stranger(archive, owed, clock, others_are_up).deliver(STUDY_UID, "pacs")

    assert {state for _, state in deliveries_of(owed)} == {"REFUSED"}
