"""Images are made ready while others arrive: that saves work, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dibmg_node.domain.pause import Part, Pause
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.result import ResultKind
from dibmg_node.domain.selftest import SELFTEST_AET
from dibmg_node.domain.study import STANDARD_VIEWS, Exclusion, Instance, ViewKey
from dibmg_node.services.ahead import LookAhead
from dibmg_node.services.images import Shown
from dibmg_node.services.orders import Answered, Asked, Reader
from dibmg_node.services.sandbox import ChildDiedError, Sandbox
from dibmg_node.services.writing import Wish
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
from tests.services.test_analysis import BOTH, Station, Subscriber, nothing

OTHER = "1.2.840.1.2"


class OneReader(Sandbox[Asked, Answered]):
    """A sandbox without a child: one reader carries out every order.

    Attributes:
        prepared: UIDs of the images that the model was handed since they were asked for last.
        free: No order is in hand.
        failure: What the next look runs into.
    """

    def __init__(self) -> None:
        super().__init__(lambda: self.reader.carry_out, nothing, 1.0)
        self.prepared: list[str] = []
        self.reader = Reader(FakePredictor(self._note))
        self.free = True
        self.failure: Exception | None = None

    def _note(self, one: Instance) -> Exclusion | None:
        self.prepared.append(one.sop_uid)
        return None

    @property
    def is_free(self) -> bool:
        return self.free

    def run(self, order: Asked, tick: Callable[[], None]) -> Answered:
        self.turn += 1
        return self.reader.carry_out(order)

    def run_if_free(self, order: Asked, tick: Callable[[], None], deadline_seconds: float) -> Answered | None:
        if self.failure is not None:
            raise self.failure
        return self.run(order, tick)


@dataclass
class Post:
    """A worker that looks ahead, and what arrives there."""

    station: Station
    sandbox: OneReader = field(default_factory=OneReader)
    alone: bool = True
    ending: bool = False
    shown: Shown | None = None

    def __post_init__(self) -> None:
        self.station.sandbox = self.sandbox
        self.ahead = LookAhead(
            self.station.ledger.arrivals,
            self.station.archive,
            self.sandbox,
            ExamPolicy(),
            self.shown or self.station.analyst().shown,
            self.station.clock,
            lambda: self.alone,
            lambda: self.ending,
        )

    def receive(self, *views: ViewKey, study_uid: str = STUDY_UID, **more: Any) -> None:
        self.station.clock.advance(0.1)
        self.station.receive(*(mammogram(view, study_uid=study_uid, **more) for view in views))

    def taken(self) -> list[str]:
        """UIDs of the images that were made ready since this was asked last."""
        taken = sorted(self.sandbox.prepared)
        self.sandbox.prepared.clear()
        return taken

    def analyze(self, revision: int = 4, study_uid: str = STUDY_UID) -> list[str]:
        """UIDs of the images that the analysis had to make ready."""
        self.taken()
        self.station.complete()
        self.station.analyze(revision, study_uid)
        return self.taken()


def a_post(folder: Path, shown: Shown | None = None) -> Post:
    folder.mkdir(exist_ok=True)
    pacs = Subscriber("pacs", BOTH, answer_unread=True)
    station = Station(new_archive(folder), new_ledger(folder), Clock(), subscribers=(pacs,))
    return Post(station, shown=shown)


@pytest.fixture
def post(tmp_path: Path) -> Post:
    return a_post(tmp_path)


def uids(*views: ViewKey, study_uid: str = STUDY_UID, number: int = 0) -> list[str]:
    return sorted(sop_uid(view, study_uid, number) for view in views)


def test_each_image_is_made_ready_once_and_the_analysis_has_the_last_one_left(post: Post) -> None:
    post.receive(R_CC, L_CC)
    post.ahead.look()
    assert post.taken() == uids(R_CC, L_CC)
    post.ahead.look()
    assert post.taken() == []
    post.receive(R_MLO)
    post.ahead.look()
    assert post.taken() == uids(R_MLO)
    post.receive(L_MLO)

    assert post.analyze() == uids(L_MLO)
    assert post.station.study()["state"] == "ANALYZED"


def test_results_are_the_same_to_the_byte(tmp_path: Path) -> None:
    made = []
    for looks in (True, False):
        post = a_post(tmp_path / f"{looks}")
        post.receive(*STANDARD_VIEWS[:3])
        if looks:
            post.ahead.look()
        post.receive(L_MLO)
        assert len(post.analyze()) == (1 if looks else 4)
        results: Any = post.station.study()["results"]
        made.append({one["sop_uid"]: one["sha256"] for one in results})

    assert len(made[0]) == 5
    assert made[0] == made[1]


def test_what_is_ready_is_gone_with_another_order_and_is_made_ready_again(post: Post) -> None:
    post.receive(R_CC, L_CC)
    post.ahead.look()
    post.receive(*STANDARD_VIEWS, study_uid=OTHER)
    assert post.analyze(study_uid=OTHER) == uids(*STANDARD_VIEWS, study_uid=OTHER)

    post.receive(R_MLO, L_MLO)

    assert post.analyze() == uids(*STANDARD_VIEWS)


def test_a_look_after_another_order_knows_that_nothing_is_ready_any_more(post: Post) -> None:
    post.receive(R_CC)
    post.ahead.look()
    post.receive(*STANDARD_VIEWS, study_uid=OTHER)
    post.analyze(study_uid=OTHER)
    post.receive(L_CC)

    post.ahead.look()

    assert post.taken() == uids(R_CC, L_CC)


def test_of_a_retake_nothing_is_kept_but_the_newest(post: Post) -> None:
    post.receive(R_CC)
    post.ahead.look()
    post.receive(R_CC, number=1)
    post.ahead.look()
    assert post.taken() == sorted(uids(R_CC) + uids(R_CC, number=1))

    images = post.sandbox.reader._ahead

    assert images is not None
    assert images.opened == {sop_uid(R_CC, number=1)}


def test_images_that_would_be_shown_otherwise_are_made_ready_anew(tmp_path: Path) -> None:
    post = a_post(tmp_path, Shown())  # no pixels for overlays
    post.receive(*STANDARD_VIEWS)
    post.ahead.look()

    assert post.analyze() == uids(*STANDARD_VIEWS)
    results: Any = post.station.study()["results"]
    assert [one["kind"] for one in results].count("overlay") == 4


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


def test_after_a_look_that_broke_the_model_there_is_none_for_five_minutes(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    post.sandbox.failure = ChildDiedError("the model process ended (SIGSEGV)")
    post.receive(R_CC, L_CC)
    assert not post.ahead.look()
    post.sandbox.failure = None
    post.receive(R_CC, study_uid=OTHER)
    assert not post.ahead.look()
    assert post.taken() == []
    assert [(one.levelname, one.message) for one in caplog.records if "ready" in one.message] == [
        ("WARNING", "image not made ready ahead; its analysis decides")
    ]

    post.station.clock.advance(301)
    post.receive(R_MLO, L_MLO)
    post.ahead.look()

    assert post.taken() == uids(*STANDARD_VIEWS)


def test_a_damaged_file_is_left_to_the_analysis_which_tells_of_it(post: Post) -> None:
    post.receive(*STANDARD_VIEWS)
    path = post.station.archive.instance_path(sop_uid(R_CC))
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)

    post.ahead.look()
    assert post.analyze() == []

    study = post.station.study()
    assert (study["state"], "CRC-32" in str(study["reason"])) == ("READY", True)


def test_nothing_is_looked_at_beside_other_work(post: Post) -> None:
    post.receive(R_CC)
    post.sandbox.free = False
    assert post.ahead.look()  # again, soon
    post.sandbox.free, post.alone = True, False
    assert not post.ahead.look()
    post.alone = True
    post.station.ledger.pauses.begin(Pause(Part.ANALYSIS, "", post.station.clock(), "", ""))
    assert not post.ahead.look()
    post.station.ledger.pauses.end(Part.ANALYSIS, "", post.station.clock())
    post.ending = True
    assert not post.ahead.look()
    assert post.taken() == []
    post.ending = False

    post.ahead.look()

    assert post.taken() == uids(R_CC)


def test_images_of_a_self_test_have_what_its_overlays_need(tmp_path: Path) -> None:
    post = a_post(tmp_path)
    post.station.subscribers = (Subscriber("pacs", (Wish(ResultKind.CAD_SR),), answer_unread=True),)
    post = Post(post.station)
    assert not post.ahead.shown.overlays
    post.station.receive(*(mammogram(view) for view in STANDARD_VIEWS), sender=SELFTEST_AET)
    post.ahead.look()

    post.analyze()

    results: Any = post.station.study()["results"]
    assert [one["kind"] for one in results].count("overlay") == 4
