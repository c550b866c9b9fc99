"""Images are made ready while others arrive: that saves work, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dibmg_node.domain.pause import Part, Pause
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.study import STANDARD_VIEWS, Exclusion, Instance, ViewKey
from dibmg_node.services.ahead import LookAhead
from dibmg_node.services.orders import Ahead, AheadOrder, Order, Reader, Report
from dibmg_node.services.sandbox import ChildDiedError, Sandbox
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from tests.factories import (
    L_CC,
    L_MLO,
    R_CC,
    R_MLO,
    STUDY_UID,
    Clock,
    FakePredictor,
    mammogram,
    new_archive,
    new_ledger,
    sop_uid,
)
from tests.services.test_analysis import BOTH, Station, Subscriber

OTHER = "1.2.840.1.2"


class OneReader(Sandbox[Order, Report]):
    """A sandbox without a child: one reader carries out every order.

    Attributes:
        prepared: UIDs of the images that the model was handed, in that order.
        busy: An order is in hand.
        failure: What the next look runs into.
    """

    def __init__(self) -> None:
        super().__init__(lambda: self.reader.report, lambda: None, 1.0)
        self.prepared: list[str] = []
        self.reader = Reader(FakePredictor(self._note))
        self.busy = False
        self.failure: Exception | None = None

    def _note(self, one: Instance) -> Exclusion | None:
        self.prepared.append(one.sop_uid)
        return None

    def run(self, order: Order, tick: Callable[[], None]) -> Report:
        return self.reader.report(order)

    def run_if_free(  # type: ignore[override]
        self, order: AheadOrder, tick: Callable[[], None], deadline_seconds: float
    ) -> Ahead | None:
        tick()
        if self.failure is not None:
            raise self.failure
        return None if self.busy else self.reader.look_ahead(order)


@dataclass
class Post:
    """A worker that looks ahead, and what arrives there."""

    station: Station
    sandbox: OneReader = field(default_factory=OneReader)
    alone: bool = True
    ending: bool = False

    def __post_init__(self) -> None:
        self.station.sandbox = self.sandbox
        self.ahead = LookAhead(
            self.station.ledger.arrivals,
            self.station.archive,
            self.sandbox,
            ExamPolicy(),
            self.station.analyst().shown,
            self.station.clock,
            lambda: self.alone,
            lambda: self.ending,
        )

    def receive(self, *views: ViewKey, study_uid: str = STUDY_UID) -> None:
        self.station.clock.advance(0.1)
        self.station.receive(*(mammogram(view, study_uid=study_uid) for view in views))

    def taken(self) -> list[str]:
        """UIDs of the images that were made ready since this was asked last."""
        taken = sorted(self.sandbox.prepared)
        self.sandbox.prepared.clear()
        return taken


def a_post(archive: Archive, ledger: Ledger, clock: Clock) -> Post:
    pacs = Subscriber("pacs", BOTH, answer_unread=True)
    return Post(Station(archive, ledger, clock, subscribers=(pacs,)))


@pytest.fixture
def post(archive: Archive, ledger: Ledger, clock: Clock) -> Post:
    return a_post(archive, ledger, clock)


def uids(*views: ViewKey, study_uid: str = STUDY_UID) -> list[str]:
    return sorted(sop_uid(view, study_uid=study_uid) for view in views)


def test_each_image_is_made_ready_once_and_the_analysis_needs_no_more(post: Post) -> None:
    post.receive(R_CC, L_CC)
    post.ahead.look()
    assert post.taken() == uids(R_CC, L_CC)
    post.ahead.look()
    assert post.taken() == []
    post.receive(R_MLO)
    post.ahead.look()
    assert post.taken() == uids(R_MLO)
    post.receive(L_MLO)
    post.station.complete()

    post.station.analyze()

    assert post.taken() == uids(L_MLO)
    assert post.station.study()["state"] == "ANALYZED"


def test_results_are_the_same_to_the_byte(tmp_path: Path) -> None:
    made = []
    for looks in (True, False):
        (tmp_path / f"{looks}").mkdir()
        post = a_post(new_archive(tmp_path / f"{looks}"), new_ledger(tmp_path / f"{looks}"), Clock())
        post.receive(*STANDARD_VIEWS[:3])
        if looks:
            post.ahead.look()
        post.receive(L_MLO)
        post.station.complete()
        post.station.analyze()
        made.append({one["sop_uid"]: one["sha256"] for one in post.station.study()["results"]})  # type: ignore[attr-defined]

    assert len(made[0]) == 5
    assert made[0] == made[1]


def test_what_was_made_ready_of_one_study_is_never_taken_for_another(post: Post) -> None:
    post.receive(R_CC, L_CC)
    post.ahead.look()
    post.receive(*STANDARD_VIEWS, study_uid=OTHER)
    post.station.complete()
    post.taken()

    post.station.analyze(study_uid=OTHER)
    assert post.taken() == uids(*STANDARD_VIEWS, study_uid=OTHER)
    post.station.analyze(revision=2)

    assert post.station.study()["state"] == "EXCLUDED"


def test_of_two_studies_that_come_at_once_the_one_in_hand_goes_first_for_a_while(post: Post) -> None:
    post.receive(R_CC)
    post.ahead.look()
    post.receive(R_CC, study_uid=OTHER)
    post.ahead.look()
    post.receive(L_CC)
    post.ahead.look()
    assert post.taken() == uids(R_CC, L_CC)

    post.station.clock.advance(11)
    post.receive(L_CC, study_uid=OTHER)
    post.ahead.look()

    assert post.taken() == uids(R_CC, L_CC, study_uid=OTHER)


def test_a_look_that_fails_is_not_repeated_and_the_analysis_does_its_work(post: Post) -> None:
    post.sandbox.failure = ChildDiedError("the model process ended (SIGSEGV)")
    post.receive(R_CC, L_CC)
    post.ahead.look()
    post.sandbox.failure = None
    post.receive(R_MLO, L_MLO)
    post.ahead.look()
    assert post.taken() == []
    post.station.complete()

    post.station.analyze()

    assert post.station.study()["state"] == "ANALYZED"


def test_a_damaged_file_is_left_to_the_analysis(post: Post, archive: Archive) -> None:
    post.receive(R_CC, L_CC)
    archive.instance_path(sop_uid(R_CC)).unlink()

    post.ahead.look()

    assert post.station.study()["state"] == "RECEIVING"


def test_nothing_is_looked_at_beside_other_work(post: Post) -> None:
    post.receive(R_CC)
    post.sandbox.busy = True
    assert post.ahead.look()  # again, soon
    post.sandbox.busy, post.alone = False, False
    assert not post.ahead.look()
    post.alone = True
    post.station.ledger.pauses.begin(Pause(Part.ANALYSIS, "", post.station.clock(), "", ""))
    assert not post.ahead.look()
    assert post.taken() == []
    post.station.ledger.pauses.end(Part.ANALYSIS, "", post.station.clock())

    post.ahead.look()

    assert post.taken() == uids(R_CC)


def test_a_process_that_ends_waits_for_no_look(post: Post) -> None:
    post.receive(R_CC)
    post.ending = True

    post.ahead.look()

    assert post.taken() == []
