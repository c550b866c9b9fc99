from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import select

from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.study import STANDARD_VIEWS
from dibmg_node.errors import StorageFullError
from dibmg_node.services.analysis import Analyst
from dibmg_node.services.orders import ShadowOrder, read_only
from dibmg_node.services.sandbox import DeadlineError, Sandbox
from dibmg_node.services.shadow import LEASE, Shadow
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.schema import shadow_readings
from tests.factories import STUDY_UID, Clock, FakePredictor, mammogram
from tests.services.test_analysis import PACS, InProcess, Station, nothing

SHADOW = "b" * 64
Work = Callable[[ShadowOrder], Mapping[str, Any]]


def read_here(order: ShadowOrder) -> Mapping[str, Any]:
    return read_only(order, FakePredictor())


def die(order: ShadowOrder) -> Mapping[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("alive")


def build_dying() -> Work:
    return die


def build_reading() -> Work:
    return read_here


class Here(Sandbox[ShadowOrder, Mapping[str, Any]]):
    """A sandbox without a child, that may fail first."""

    def __init__(self, *before: Callable[[], None]) -> None:
        super().__init__(build_dying, nothing, 1.0)
        self.before = list(before)

    def run(self, order: ShadowOrder, tick: Callable[[], None]) -> Mapping[str, Any]:
        if self.before:
            self.before.pop(0)()
        tick()
        return read_here(order)


@pytest.fixture
def station(archive: Archive, ledger: Ledger, clock: Clock) -> Station:
    """A study that was analyzed, and waits for the shadow."""
    station = Station(archive, ledger, clock)
    station.receive(*(mammogram(view) for view in STANDARD_VIEWS))
    station.complete()
    analyze_shadowed(station, 4)
    return station


def analyze_shadowed(station: Station, revision: int) -> None:
    archive, claims = station.archive, station.ledger.claims
    analyst = Analyst(
        "worker", archive, claims, InProcess(), ExamPolicy(), (PACS,), 512, station.clock, shadowed=True
    )
    analyst.analyze(STUDY_UID, revision)


def shadow(
    station: Station,
    sandbox: Sandbox[ShadowOrder, Mapping[str, Any]],
    is_ending: Callable[[], bool] = lambda: False,
) -> Shadow:
    readings = station.ledger.shadow_readings
    return Shadow(station.archive, readings, sandbox, ExamPolicy(), SHADOW, station.clock, is_ending)


def kept(station: Station) -> dict[str, Any]:
    with station.ledger.engine.connect() as connection:
        return dict(connection.execute(select(shadow_readings)).mappings().one())


def raising(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_scores_are_kept_and_the_study_stays_as_it_is(station: Station) -> None:
    before, files = station.study(), sorted(station.archive.root.rglob("*"))

    done = shadow(station, Here()).read_one()

    found = kept(station)
    assert done
    assert (found["outcome"], found["weights_sha256"]) == ("read", SHADOW)
    assert found["score"] == found["first_score"] == before["scores"]["exam"]  # type: ignore[index]
    assert found["findings"] == found["first_findings"] > 0
    assert '"R-CC"' in found["reading"]
    assert station.study() == before
    assert sorted(station.archive.root.rglob("*")) == files
    assert not shadow(station, Here()).read_one()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (DeadlineError("no answer within 120 s"), "no answer within 120 s"),
        (OSError(5, "Input/output error", "/secret"), "disk: Input/output error"),
        (StorageFullError("no room"), "no room"),
    ],
)
def test_a_failure_is_counted_once_and_costs_the_study_nothing(
    station: Station, error: Exception, told: str
) -> None:
    before = station.study()

    shadow(station, Here(raising(error))).read_one()

    assert (kept(station)["outcome"], kept(station)["reason"]) == ("failed", told)
    assert station.study() == before
    assert not shadow(station, Here()).read_one()


def test_a_model_process_that_dies_is_counted_as_a_failure(station: Station) -> None:
    one = shadow(station, Sandbox(build_dying, nothing, 60))

    one.read_one()

    one.sandbox.stop()
    assert kept(station)["reason"] == "the model process ended (SIGKILL)"
    assert station.study()["state"] == "ANALYZED"


def test_an_exam_with_an_image_that_is_not_read_is_read_in_its_process(station: Station) -> None:
    station.receive(mammogram(STANDARD_VIEWS[0], number=1, PartialView="YES"))
    station.complete()
    analyze_shadowed(station, 5)
    one = shadow(station, Sandbox(build_reading, nothing, 60))

    one.read_one()

    one.sandbox.stop()
    assert (kept(station)["outcome"], kept(station)["reason"]) == ("read", "")


def test_a_process_that_is_told_to_end_gives_its_exam_back(station: Station) -> None:
    ended = shadow(station, Here(), is_ending=lambda: True).read_one()

    again = shadow(station, Here()).read_one()

    assert (ended, again) == (False, True)
    assert kept(station)["outcome"] == "read"


def test_an_exam_that_ended_two_workers_is_not_tried_a_third_time(station: Station) -> None:
    for _ in range(2):
        station.ledger.shadow_readings.claim(station.clock(), LEASE)
        station.clock.advance(LEASE.total_seconds())

    shadow(station, Here()).read_one()

    assert (kept(station)["outcome"], kept(station)["reason"]) == (
        "failed",
        "the worker ended in mid-reading",
    )


def test_a_study_that_moves_on_while_it_is_read_is_dropped(station: Station) -> None:
    def late() -> None:
        station.receive(mammogram(STANDARD_VIEWS[0], number=1))
        station.complete()
        station.analyze(revision=5)

    done = shadow(station, Here(late)).read_one()

    assert done
    assert station.ledger.shadow_readings.read_twice(SHADOW, None) == []
