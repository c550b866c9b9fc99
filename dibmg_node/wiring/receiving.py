"""Receiving: from the settings to the side of the node that images come in by."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial

from dibmg_node.config import Settings
from dibmg_node.dicom import facts
from dibmg_node.domain.pause import Part
from dibmg_node.machine.nudge import nudge
from dibmg_node.services.acceptor import Acceptor
from dibmg_node.services.addresses import address_of
from dibmg_node.services.audit import Auditor
from dibmg_node.services.inspection import Inspection
from dibmg_node.services.intake import Intake
from dibmg_node.services.intake_policy import AllowedSender, IntakePolicy
from dibmg_node.services.reports import Reports
from dibmg_node.services.selftest_gate import SelfTestGate
from dibmg_node.services.wire import AcceptorSettings, TellTurnedAway
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.receipts import Patience
from dibmg_node.wiring import foundation
from dibmg_node.wiring.exposure import open_intake_tls
from dibmg_node.wiring.proof_choice import commits, may_report

_log = logging.getLogger(__name__)


def open_intake(settings: Settings, ledger: Ledger, archive: Archive, audit: Auditor) -> Intake:
    """A receiving side of this process's own spool, rid of what its predecessor left there."""
    archive.prepare()
    intake = make_intake(settings, ledger, archive, audit)
    removed = intake.repair()
    if removed:
        _log.warning("unfinished files removed from the spool", extra={"count": removed})
    return intake


def make_intake(settings: Settings, ledger: Ledger, archive: Archive, audit: Auditor) -> Intake:
    """The policy of the receiving side, with the archive of the process that receives."""
    policy = IntakePolicy(
        ae_title=settings.intake.ae_title,
        senders=tuple(
            AllowedSender(sender.ae_title, sender.address, sender.certificate_subject)
            for sender in settings.sender
        ),
        reserve_bytes=int(settings.intake.reserve_gb * 1e9),
        keep_first=settings.intake.same_uid == "keep_first",
        quiet_time=settings.quiet_time,
        longest_wait=timedelta(seconds=settings.intake.max_wait_seconds),
        may_report=partial(may_report, settings),
        priority=settings.priority,
        is_paused=lambda: ledger.pauses.find(Part.INTAKE) is not None,
    )
    gate = SelfTestGate(ledger.selftests, address_of(settings.intake.address), foundation.now)
    hold = foundation.make_hold(settings, ledger, archive)
    # a complete study goes to its analysis now, and not when the sweep looks again
    done = partial(nudge, foundation.sweep_nudge(settings))
    # and its first images are made ready while the others arrive
    stored = partial(nudge, foundation.ahead_nudge(settings))
    return Intake(archive, ledger.receipts, policy, foundation.now, audit, gate, hold, done, stored)


def make_inspection(settings: Settings, ledger: Ledger, archive: Archive) -> Inspection:
    """What is done at every start of the node."""
    intake = settings.intake
    patience = Patience(timedelta(seconds=intake.quiet_seconds), timedelta(seconds=intake.max_wait_seconds))
    hold = foundation.make_hold(settings, ledger, archive)
    return Inspection(archive, ledger.receipts, ledger.holdings, patience, foundation.now, hold)


def make_acceptor(
    settings: Settings, intake: Intake, ledger: Ledger, turned_away: TellTurnedAway
) -> Acceptor:
    """The wire of the receiving side.

    Raises:
        ConfigError: A file of its TLS cannot be used.
    """
    return Acceptor(
        replace(acceptor_settings(settings), tls=open_intake_tls(settings)),
        admit=intake.admit,
        open_instance=intake.open_sent,
        ended=intake.ended,
        take_report=Reports(ledger.proofs, foundation.now).take if commits(settings) else None,
        turned_away=turned_away,
    )


def accepted_contexts(settings: Settings) -> Mapping[str, tuple[str, ...]]:
    """Transfer syntaxes that are accepted, by abstract syntax."""
    if not commits(settings):
        return facts.ACCEPTED_CONTEXTS
    return {**facts.ACCEPTED_CONTEXTS, facts.STORAGE_COMMITMENT: facts.PLAIN_SYNTAXES}


def acceptor_settings(settings: Settings) -> AcceptorSettings:
    """What the receiving side agrees to, and its limits; without its TLS, which reads files."""
    limits = settings.intake
    return AcceptorSettings(
        contexts=accepted_contexts(settings),
        implementation_class_uid=facts.IMPLEMENTATION_CLASS_UID,
        implementation_version_name=facts.IMPLEMENTATION_VERSION_NAME,
        ae_title=limits.ae_title,
        address=limits.address,
        port=limits.port,
        maximum_associations=limits.max_associations,
        maximum_per_address=limits.max_per_address,
        association_timeout=timedelta(seconds=limits.association_seconds),
        pdu_timeout=timedelta(seconds=limits.pdu_seconds),
        idle_timeout=timedelta(seconds=limits.idle_seconds),
        minimum_rate=limits.min_bytes_per_second,
        maximum_data_set=int(limits.max_instance_gb * 2**30),
    )
