"""The gate: the node's own self-test is let in, and nobody who only says that he is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.dicom.part10 import data_set_offset
from dibmg_node.domain.selftest import SELFTEST_AET, is_selftest_uid
from dibmg_node.domain.study import Instance
from dibmg_node.errors import InstanceRejectedError
from dibmg_node.services.addresses import Address, address_of
from dibmg_node.services.wire import StoreRequest
from dibmg_node.storage.selftests import SelfTests


class Gate(Protocol):
    """Knows self-tests."""

    def lacking(self, address: Address) -> str | None:
        """Why a peer that calls itself a self-test is none; None: one is running on this machine."""

    def check(self, request: StoreRequest, instance: Instance, path: Path) -> None:
        """Whether an instance may be stored, as far as self-tests go.

        Raises:
            InstanceRejectedError: 0x0124: it says that it is one of a self-test, and is not.
        """


@dataclass(frozen=True)
class SelfTestGate:
    """Asks the ledger.

    A study of a self-test is counted nowhere, so nothing of a patient may pass for one: calling AE title, an
    address of this machine, the UIDs that were registered before, and the very bytes must all agree. Nor may
    anything else be stored under the UIDs that only self-tests use.

    Attributes:
        own_address: Of the intake: who calls it from this machine comes from it, or by loopback.
    """

    tests: SelfTests
    own_address: Address
    now: Callable[[], datetime]

    def lacking(self, address: Address) -> str | None:
        """As `Gate` has it."""
        if not (address.is_loopback or address == self.own_address):
            return (
                f"{SELFTEST_AET} is the AE title of the node's own self-tests, which come from this machine"
            )
        if self.tests.running(self.now()) is None:
            return f"{SELFTEST_AET} is the AE title of the node's own self-tests, and none is running"
        return None

    def check(self, request: StoreRequest, instance: Instance, path: Path) -> None:
        """As `Gate` has it."""
        claims_to_be = request.calling_aet == SELFTEST_AET
        if not claims_to_be and not is_selftest_uid(instance.study_uid):
            return
        running = self.tests.running(self.now()) if claims_to_be else None
        if (
            running is None
            or self.lacking(address_of(request.peer_address)) is not None
            or running.digests.get(instance.sop_uid) != digest_of(path.read_bytes())
        ):
            raise InstanceRejectedError(
                StoreStatus.NOT_AUTHORIZED, "not an image of a registered self-test", 0x0020000D
            )


class ClosedGate:
    """A node without self-tests: nobody is one."""

    def lacking(self, address: Address) -> str | None:
        """As `Gate` has it."""
        return "this node runs no self-tests"

    def check(self, request: StoreRequest, instance: Instance, path: Path) -> None:
        """As `Gate` has it."""
        if request.calling_aet == SELFTEST_AET or is_selftest_uid(instance.study_uid):
            raise InstanceRejectedError(
                StoreStatus.NOT_AUTHORIZED, "this node runs no self-tests", 0x0020000D
            )


def digest_of(part10: bytes) -> str:
    """SHA-256 of the data set in a Part 10 file, as hexadecimal text."""
    return sha256(memoryview(part10)[data_set_offset(part10) :]).hexdigest()
