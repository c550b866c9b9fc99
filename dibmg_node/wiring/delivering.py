"""Delivering: from the settings to who sends results, and who asks whether they are kept."""

from __future__ import annotations

from collections.abc import Callable

from dibmg_node.config import Settings
from dibmg_node.domain.selftest import SELFTEST_DESTINATION
from dibmg_node.services.audit import Auditor
from dibmg_node.services.delivery import Courier
from dibmg_node.services.loopback_pacs import LoopbackSender
from dibmg_node.services.proving import Prover
from dibmg_node.storage.ledger import Ledger
from dibmg_node.wiring import foundation
from dibmg_node.wiring.destinations import open_senders, open_witnesses
from dibmg_node.wiring.proof_choice import proofs_asked


def make_courier(
    settings: Settings, ledger: Ledger, audit: Auditor, name: str, others_are_up: Callable[[], bool]
) -> Courier:
    """The delivering side."""
    tests = LoopbackSender(ledger.selftests, settings.intake.ae_title, foundation.now)
    senders = {**open_senders(settings, foundation.now), SELFTEST_DESTINATION: tests}
    proofs = proofs_asked(settings)
    return Courier(
        foundation.open_archive(settings),
        ledger.outbox,
        senders,
        foundation.now,
        proofs,
        audit,
        name=name,
        others_are_up=others_are_up,
        archive_identity=ledger.marks.archive(),
    )


def make_prover(settings: Settings, ledger: Ledger, name: str, others_are_up: Callable[[], bool]) -> Prover:
    """Who asks destinations whether they keep what they stored."""
    witnesses = open_witnesses(settings, ledger.proofs, foundation.now)
    return Prover(ledger.proofs, witnesses, foundation.now, name, others_are_up)
