"""Results of self-tests: to their own PACS while one is running, and nowhere else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.selftest import SELFTEST_AET, selftest_uid
from dibmg_node.errors import PeerRefusedError
from dibmg_node.services.cstore import CStoreSender
from dibmg_node.services.delivery import Parcel
from dibmg_node.services.loopback_pacs import LOOPBACK, LoopbackPacs, LoopbackSender
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.selftests import OpenSelfTest
from tests.factories import Clock


def test_results_reach_the_pacs_of_the_self_test_that_is_running(
    ledger: Ledger, clock: Clock, parcels: list[Parcel]
) -> None:
    with LoopbackPacs().listening() as pacs:
        test = OpenSelfTest(selftest_uid(1), clock(), clock() + timedelta(minutes=1), pacs.port, {})
        ledger.selftests.register(test)

        settled = LoopbackSender(ledger.selftests, "DIBMG", clock).send(parcels)

        assert {one.state for one in settled} == {DeliveryState.STORED}
        assert pacs.arrived.keys() == {one.sop_uid for one in parcels}


def test_what_arrived_is_the_file_that_was_sent(parcels: list[Parcel]) -> None:
    with LoopbackPacs().listening() as pacs:
        CStoreSender("DIBMG", SELFTEST_AET, LOOPBACK, pacs.port).send(parcels)

        arrived = pacs.arrived
    for one in parcels:
        assert one.content.endswith(arrived[one.sop_uid].data_set)
        assert arrived[one.sop_uid].transfer_syntax_uid == one.transfer_syntax_uid


def test_the_pacs_answers_to_its_own_title_alone(parcels: list[Parcel]) -> None:
    with LoopbackPacs().listening() as pacs, pytest.raises(PeerRefusedError, match="rejected 1/1/7"):
        CStoreSender("DIBMG", "PACS", LOOPBACK, pacs.port).send(parcels)


def test_without_a_running_self_test_nothing_is_sent(
    ledger: Ledger, clock: Clock, parcels: list[Parcel]
) -> None:
    with pytest.raises(PeerRefusedError, match="no self-test is running"):
        LoopbackSender(ledger.selftests, "DIBMG", clock).send(parcels)
