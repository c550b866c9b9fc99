from __future__ import annotations

import threading
from datetime import timedelta

from dibmg_node.errors import LedgerConflictError, RetryableError
from dibmg_node.services.renewal import renewed

OFTEN = timedelta(milliseconds=1)


def test_a_ledger_that_does_not_answer_once_is_asked_again() -> None:
    answered = threading.Event()
    errors = [RetryableError("the ledger does not answer")]

    def renew() -> None:
        if errors:
            raise errors.pop()
        answered.set()

    with renewed(renew, OFTEN, {}):
        assert answered.wait(30)


def test_a_claim_that_is_lost_is_left_alone_and_its_holder_goes_on() -> None:
    asked: list[threading.Thread] = []
    told = threading.Event()

    def renew() -> None:
        asked.append(threading.current_thread())
        told.set()
        raise LedgerConflictError("the claim is lost")

    with renewed(renew, OFTEN, {}):
        assert told.wait(30)
        asked[0].join(30)

    assert len(asked) == 1
