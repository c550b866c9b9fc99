from __future__ import annotations

from datetime import timedelta

from dibmg_node.domain.pause import Part, Pause
from dibmg_node.storage.ledger import Ledger
from tests.factories import L_CC, R_CC, STUDY_UID, Clock, instance, sop_uid
from tests.storage.life import claim, make_ready, store

OTHER = "1.2.840.1.2"


def test_the_study_that_had_an_image_last_is_the_one_unless_another_is_meant(
    ledger: Ledger, clock: Clock
) -> None:
    assert ledger.arrivals.latest() is None
    store(ledger, clock, [instance(R_CC), instance(L_CC, sop_uid=sop_uid(L_CC))])
    clock.advance(1)
    store(ledger, clock, [instance(R_CC, study_uid=OTHER, sop_uid=sop_uid(R_CC, OTHER))])

    latest, meant = ledger.arrivals.latest(), ledger.arrivals.latest(STUDY_UID)

    assert latest is not None
    assert meant is not None
    assert latest.study.study_uid == OTHER
    assert (meant.study.study_uid, meant.study.revision) == (STUDY_UID, 2)
    assert [one.sop_uid for one in meant.study.instances] == [sop_uid(R_CC), sop_uid(L_CC)]
    assert meant.checksums == {sop_uid(R_CC): (100, 1), sop_uid(L_CC): (100, 1)}


def test_a_study_that_is_complete_arrives_no_more(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)

    assert ledger.arrivals.latest() is None
    assert ledger.arrivals.latest(STUDY_UID) is None


def test_while_a_study_waits_to_be_read_nothing_is_looked_at(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    store(ledger, clock, [instance(R_CC, study_uid=OTHER, sop_uid=sop_uid(R_CC, OTHER))])
    assert ledger.arrivals.latest() is None

    claim(ledger, clock)

    assert ledger.arrivals.latest() is not None


def test_while_analysis_is_paused_nothing_is_looked_at(ledger: Ledger, clock: Clock) -> None:
    store(ledger, clock, [instance(R_CC)])
    ledger.pauses.begin(Pause(Part.ANALYSIS, "", clock(), "", ""))
    assert ledger.arrivals.latest() is None

    ledger.pauses.end(Part.ANALYSIS, "", clock() + timedelta(seconds=1))

    assert ledger.arrivals.latest() is not None
