"""Peers, both ways: every destination is asked, and the node's own intake by its real port."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Final

from dibmg_node.config import Settings
from dibmg_node.doctor.stores import node_ledger, running_process
from dibmg_node.doctor.verdict import Verdict, bad, doubtful, well
from dibmg_node.domain.selftest import selftest_uid
from dibmg_node.errors import DibmgError, PeerUnavailableError, PermanentError
from dibmg_node.selftest.own_intake import open_own_intake
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.selftests import OpenSelfTest
from dibmg_node.wiring import foundation
from dibmg_node.wiring.destinations import open_senders
from dibmg_node.wiring.role_choice import Role

_PATIENCE: Final = timedelta(minutes=1)
_ANSWER: Final = "an answer to C-ECHO, or to a query for nothing"


def examine(settings: Settings) -> Iterator[Verdict]:
    """Ask everybody for a sign of life."""
    yield _judge_intake(settings)
    for name, sender in open_senders(settings, foundation.now).items():
        check = f"destination {name}"
        try:
            sender.echo()
        except PeerUnavailableError as error:
            remedy = "see that it runs and is reached from here; until then its results wait"
            yield doubtful(check, str(error), _ANSWER, remedy)
        except DibmgError as error:
            remedy = (
                f"see that it knows AE title {settings.intake.ae_title} of this address, or its credentials"
            )
            yield bad(check, str(error), _ANSWER, remedy)
        else:
            yield well(check, f"{sender.who} answers")


def _judge_intake(settings: Settings) -> Verdict:
    check, expected = "own intake", "an answer to C-ECHO"
    ledger = node_ledger(settings) if running_process(settings, Role.INTAKE) else None
    if ledger is None:
        return doubtful(check, "the node does not run", expected, "start it with 'dibmg up'")
    sender = open_own_intake(settings)
    try:
        with _announced(ledger):
            sender.echo()
    except DibmgError as error:
        remedy = (
            "see intake.log; with intake.tls.ca set selftest.certificate, and after a renewal send SIGHUP"
        )
        return bad(check, str(error), expected, remedy)
    finally:
        ledger.engine.dispose()
    return well(check, f"{sender.who} answers", expected)


@contextmanager
def _announced(ledger: Ledger) -> Iterator[None]:
    """Let in as a self-test is, which sends nothing."""
    now = foundation.now()
    test = OpenSelfTest(selftest_uid(secrets.randbits(64)), now, now + _PATIENCE, 0, {})
    with suppress(PermanentError):  # while another one is running, this one is let in, too
        ledger.selftests.register(test)
    try:
        yield
    finally:
        ledger.selftests.cancel(test.study_uid)
