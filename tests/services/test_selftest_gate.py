"""Nothing of a patient passes for a self-test, and nobody else's association for one of the node's own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest

from dibmg_node.dicom import facts
from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.dicom.part10 import part10_prefix
from dibmg_node.domain.selftest import SELFTEST_AET, selftest_uid
from dibmg_node.services.intake import Intake
from dibmg_node.services.intake_policy import AllowedSender
from dibmg_node.services.selftest_gate import SelfTestGate, digest_of
from dibmg_node.services.wire import AssociationRequest, Rejection, StoreAnswer, StoreRequest
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.selftests import OpenSelfTest
from tests.factories import Clock, data_set_bytes, mammogram, part10
from tests.services.test_intake import POLICY

TEST_UID = selftest_uid(5)
IMAGE = mammogram(study_uid=TEST_UID, SOPInstanceUID=f"{TEST_UID}.1")
SENDERS = (AllowedSender("MG1", ip_network("10.0.0.0/24")),)


@pytest.fixture
def intake(archive: Archive, ledger: Ledger, clock: Clock) -> Intake:
    """One that takes images of MG1, and knows self-tests."""
    gate = SelfTestGate(ledger.selftests, ip_address("10.0.0.5"), clock)
    return Intake(archive, ledger.receipts, replace(POLICY, senders=SENDERS), clock, gate=gate)


@pytest.fixture
def registered(ledger: Ledger, clock: Clock) -> OpenSelfTest:
    """A self-test of one image."""
    digests = {str(IMAGE.SOPInstanceUID): digest_of(part10(IMAGE))}
    test = OpenSelfTest(TEST_UID, clock(), clock() + timedelta(minutes=5), 4242, digests)
    ledger.selftests.register(test)
    return test


def admit(intake: Intake, aet: str = SELFTEST_AET, address: str = "127.0.0.1") -> Rejection | None:
    return intake.admit(AssociationRequest("a", aet, "DIBMG", address, 1, None, "1.2", ""))


def send(
    intake: Intake, image: object = IMAGE, aet: str = SELFTEST_AET, address: str = "127.0.0.1"
) -> StoreAnswer:
    request = StoreRequest(
        "a",
        1,
        facts.MG_FOR_PRESENTATION,
        str(image.SOPInstanceUID),  # type: ignore[attr-defined]
        facts.EXPLICIT_LE,
        aet,
        "DIBMG",
        address,
    )
    reception = intake.open_instance(request)
    reception.write(memoryview(data_set_bytes(image)))  # type: ignore[arg-type]
    return reception.commit()


def test_a_registered_self_test_is_let_in_although_it_is_no_sender(
    intake: Intake, registered: OpenSelfTest
) -> None:
    assert admit(intake) is None
    assert admit(intake, address="10.0.0.5") is None


@pytest.mark.parametrize("address", ["10.0.0.6", "192.0.2.1", "2001:db8::1"])
def test_from_another_machine_nobody_is_a_self_test(
    intake: Intake, registered: OpenSelfTest, address: str
) -> None:
    rejection = admit(intake, address=address)

    assert rejection is not None
    assert "which come from this machine" in rejection.sentence


def test_where_none_is_running_nobody_is_let_in_as_a_self_test(intake: Intake) -> None:
    rejection = admit(intake)

    assert rejection is not None
    assert "none is running" in rejection.sentence


def test_the_registered_image_is_stored_as_a_self_test(
    intake: Intake, registered: OpenSelfTest, ledger: Ledger
) -> None:
    answer = send(intake)

    study = ledger.views.study(TEST_UID)
    assert answer.status == StoreStatus.SUCCESS
    assert study is not None
    assert study["selftest"]


def test_an_image_of_a_patient_is_not_stored_under_the_title_of_self_tests(
    intake: Intake, registered: OpenSelfTest, ledger: Ledger
) -> None:
    answer = send(intake, mammogram())

    assert answer.status == StoreStatus.NOT_AUTHORIZED
    assert ledger.views.study(str(mammogram().StudyInstanceUID)) is None


def test_other_bytes_are_not_stored_under_the_uids_of_a_running_self_test(
    intake: Intake, registered: OpenSelfTest, ledger: Ledger
) -> None:
    other = mammogram(study_uid=TEST_UID, SOPInstanceUID=f"{TEST_UID}.1", PatientID="SOMEBODY")

    answer = send(intake, other)

    assert answer.status == StoreStatus.NOT_AUTHORIZED
    assert ledger.views.study(TEST_UID) is None


def test_the_very_bytes_are_not_stored_for_another_machine(
    intake: Intake, registered: OpenSelfTest, ledger: Ledger
) -> None:
    answer = send(intake, address="10.0.0.9")

    assert answer.status == StoreStatus.NOT_AUTHORIZED
    assert ledger.views.study(TEST_UID) is None


@pytest.mark.parametrize("address", ["10.0.0.9", ""])
def test_a_sender_cannot_store_under_the_uids_of_self_tests(
    intake: Intake, registered: OpenSelfTest, ledger: Ledger, address: str
) -> None:
    answer = send(intake, aet="MG1", address=address)

    assert answer.status == StoreStatus.NOT_AUTHORIZED
    assert ledger.views.study(TEST_UID) is None


def test_once_it_has_ended_its_images_are_not_stored_any_more(
    intake: Intake, registered: OpenSelfTest, ledger: Ledger, clock: Clock
) -> None:
    ledger.selftests.end(TEST_UID, [], clock())

    answer = send(intake)

    assert answer.status == StoreStatus.NOT_AUTHORIZED


def test_what_is_refused_leaves_no_file(intake: Intake, registered: OpenSelfTest, archive: Archive) -> None:
    send(intake, mammogram())

    assert [path for path in archive.root.rglob("*") if path.is_file()] == []


def test_the_digest_is_of_the_data_set_alone() -> None:
    head = part10_prefix(facts.MG_FOR_PRESENTATION, str(IMAGE.SOPInstanceUID), facts.EXPLICIT_LE)
    received = head + data_set_bytes(IMAGE)

    assert received != part10(IMAGE)
    assert digest_of(received) == digest_of(part10(IMAGE))
