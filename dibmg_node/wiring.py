"""Wiring: from the settings to the parts of each process. Here alone both are known."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from dibmg.predictor import open_predictor
from dibmg.runtime_choice import RuntimeKind
from dibmg_node.alarming import check_channels
from dibmg_node.auditing import check_audit
from dibmg_node.config import Settings
from dibmg_node.confinement import Limits
from dibmg_node.destinations import (
    check_destinations,
    commits,
    may_report,
    open_senders,
    open_witnesses,
    proofs_asked,
)
from dibmg_node.dicom import facts
from dibmg_node.domain.pause import Part
from dibmg_node.domain.result import ResultKind
from dibmg_node.domain.selftest import SELFTEST_DESTINATION
from dibmg_node.environment import read_secret
from dibmg_node.errors import ConfigError
from dibmg_node.exposure import check_exposure, open_intake_tls
from dibmg_node.logs import start_logging
from dibmg_node.model_check import check_model, check_shadow
from dibmg_node.processes import die_with_parent
from dibmg_node.role_choice import Role, check_roles, roles_of
from dibmg_node.services.acceptor import Acceptor
from dibmg_node.services.addresses import address_of
from dibmg_node.services.analysis import Analyst, Order, Report, Subscriber, carry_out
from dibmg_node.services.audit import Auditor
from dibmg_node.services.delivery import Courier
from dibmg_node.services.inspection import Inspection
from dibmg_node.services.intake import Hold, Intake
from dibmg_node.services.intake_policy import AllowedSender, IntakePolicy
from dibmg_node.services.loopback_pacs import LoopbackSender
from dibmg_node.services.proving import Prover
from dibmg_node.services.purge import Purge, PurgePolicy
from dibmg_node.services.reading import Predictor
from dibmg_node.services.reports import Reports
from dibmg_node.services.sandbox import Sandbox
from dibmg_node.services.selftest_gate import SelfTestGate
from dibmg_node.services.tls import TlsFiles
from dibmg_node.services.wire import AcceptorSettings, TellTurnedAway
from dibmg_node.services.writing import Wish
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.holds import Holds
from dibmg_node.storage.ledger import Ledger, open_ledger
from dibmg_node.storage.object_archive import ObjectArchive
from dibmg_node.storage.objects import open_objects
from dibmg_node.storage.receipts import Patience
from dibmg_node.telemetry import check_telemetry

_ARCHIVE_KEY: Final = "DIBMG_ARCHIVE_KEY"
_ARCHIVE_SECRET: Final = "DIBMG_ARCHIVE_SECRET"


def now() -> datetime:
    """The time: made here, handed down."""
    return datetime.now(UTC)


def open_archive(settings: Settings, spool: str = "spool") -> Archive:
    """The archive below the data folder, in a folder that several nodes share, or in an object storage.

    In a folder that may be shared each node writes what is not finished into folders of its own: it clears
    them when it starts.
    """
    section = settings.archive
    own = f"-{settings.node_name}" if section.folder is not None else ""
    spool, drafts = f"{spool}{own}", f"drafts{own}"
    if section.url is None:
        return Archive(settings.archive_folder, spool, drafts)
    key, secret = read_secret(_ARCHIVE_KEY), read_secret(_ARCHIVE_SECRET)
    objects = open_objects(section.url, section.endpoint, key, secret)
    cache_bytes = int(section.cache_gb * 2**30)
    return ObjectArchive(settings.archive_folder, spool, drafts, objects=objects, cache_bytes=cache_bytes)


def make_hold(settings: Settings, ledger: Ledger, archive: Archive) -> Hold:
    """How an instance is held while it gets its name: by the ledger, where others may reach it too."""
    if settings.shares_archive and settings.ledger.url != "embedded":
        return Holds(ledger.engine).held
    return archive.held


def open_node_ledger(settings: Settings) -> Ledger:
    """The ledger of these settings; its schema must be current."""
    return open_ledger(settings.ledger_url, settings.exam_policy)


def broker_tls(settings: Settings) -> TlsFiles:
    """Whom a connection to a broker by rediss:// trusts, and what it shows."""
    tls = settings.broker.tls
    if tls is None:
        return TlsFiles()
    ca, certificate, key = (path and settings.folder / path for path in (tls.ca, tls.certificate, tls.key))
    return TlsFiles(ca, certificate, key)


def log_folder(settings: Settings) -> Path:
    """Where every process has its log."""
    return settings.data_dir / "logs"


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
    gate = SelfTestGate(ledger.selftests, address_of(settings.intake.address), now)
    hold = make_hold(settings, ledger, archive)
    return Intake(archive, ledger.receipts, policy, now, audit, gate, hold)


def make_inspection(settings: Settings, ledger: Ledger, archive: Archive) -> Inspection:
    """What is done at every start of the node."""
    intake = settings.intake
    patience = Patience(timedelta(seconds=intake.quiet_seconds), timedelta(seconds=intake.max_wait_seconds))
    hold = make_hold(settings, ledger, archive)
    return Inspection(archive, ledger.receipts, ledger.holdings, patience, now, hold)


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
        take_report=Reports(ledger.proofs, now).take if commits(settings) else None,
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


def subscribers(settings: Settings) -> tuple[Subscriber, ...]:
    """The destinations, as analysis knows them."""
    return tuple(
        Subscriber(
            destination.name,
            tuple(
                Wish(kind, destination.finding_code) if kind is ResultKind.CAD_SR else Wish(kind)
                for kind in destination.results
            ),
            destination.answer_unread,
        )
        for destination in settings.destination
    )


def make_analyst(settings: Settings, ledger: Ledger, name: str) -> Analyst:
    """One analysis worker; its model process is started by `sandbox.start`."""
    return Analyst(
        name=name,
        archive=open_archive(settings),
        claims=ledger.claims,
        sandbox=make_sandbox(
            settings,
            partial(prepare_child, "model", log_folder(settings), settings.node.log_level, os.getpid()),
        ),
        policy=settings.exam_policy,
        subscribers=subscribers(settings),
        max_side=settings.overlay.max_side,
        now=now,
        style=settings.overlay.style,
        shadowed=settings.model.shadow is not None,
    )


def make_sandbox(settings: Settings, prepare: Callable[[], None]) -> Sandbox[Order, Report]:
    """The model in a confined child, which is not started yet.

    Args:
        settings: Of the node.
        prepare: The first thing that the child does.
    """
    model = settings.model
    return Sandbox(
        partial(
            _build_work,
            settings.weights,
            model.runtime.value,
            settings.operating_point,
            model.precision,
            model.threads,
        ),
        prepare,
        model.deadline_seconds,
        model_limits(settings),
    )


def model_limits(settings: Settings) -> Limits:
    """What reading one study may use: all cores until its deadline, should nobody be there to end it."""
    return Limits(
        memory_bytes=int(settings.model.memory_gb * 2**30),
        cpu_seconds=settings.model.deadline_seconds * (os.cpu_count() or 1),
        files=settings.model.runtime is not RuntimeKind.OPENVINO and any(Path("/dev").glob("nvidia[0-9]*")),
    )


def make_courier(settings: Settings, ledger: Ledger, audit: Auditor, name: str) -> Courier:
    """The delivering side."""
    tests = LoopbackSender(ledger.selftests, settings.intake.ae_title, now)
    senders = {**open_senders(settings, now), SELFTEST_DESTINATION: tests}
    proofs = proofs_asked(settings)
    return Courier(open_archive(settings), ledger.outbox, senders, now, proofs, audit, name=name)


def make_prover(settings: Settings, ledger: Ledger, name: str) -> Prover:
    """Who asks destinations whether they keep what they stored."""
    return Prover(ledger.proofs, open_witnesses(settings, ledger.proofs, now), now, name)


def make_purge(
    settings: Settings, ledger: Ledger, audit: Auditor, older_than: timedelta | None = None
) -> Purge:
    """Who purges.

    Args:
        settings: Of the node.
        ledger: Of the node.
        audit: Told what goes.
        older_than: Instead of `archive.purge_after_days`.
    """
    section = settings.archive
    days = timedelta(days=section.purge_after_days)
    policy = PurgePolicy(
        # the disk of a node says nothing about the room of an object storage
        high_water=1.0 if section.url else section.high_water_percent / 100,
        keep=timedelta(hours=section.keep_hours),
        after=older_than if older_than is not None else days or None,
    )
    return Purge(open_archive(settings), ledger.purges, policy, now, audit)


def check_node(settings: Settings) -> None:
    """Whether a node of these settings can come up: its roles, and what each of them needs.

    Raises:
        ConfigError: With every complaint at once, each with the path of its key.
    """
    complaints: list[str] = []
    checks = [check_roles, check_exposure, check_channels, check_telemetry, check_audit]
    roles = roles_of(settings)
    if Role.DELIVERY in roles or Role.ANALYSIS in roles:
        checks.append(check_destinations)
    if Role.ANALYSIS in roles:
        checks.append(check_model)
    if Role.SHADOW in roles:
        checks.append(check_shadow)
    for check in checks:
        try:
            check(settings)
        except ConfigError as error:
            complaints += error.complaints
    if complaints:
        raise ConfigError(complaints)


def build_predictor(settings: Settings) -> Predictor:
    """The model, in this process.

    Raises:
        WeightsError: The weights cannot be used.
    """
    model = settings.model
    return open_predictor(
        settings.weights, model.runtime.value, settings.operating_point, model.precision, model.threads
    )


def _build_work(
    weights: str, runtime: str, operating_point: str, precision: str, threads: int
) -> Callable[[Order], Report]:
    """Runs in the sandbox's child: load the model, give what carries out orders."""
    predictor = open_predictor(weights, runtime, operating_point, precision, threads)
    return partial(_carry_out, predictor)


def _carry_out(predictor: Predictor, order: Order) -> Report:
    return carry_out(order, predictor)


def prepare_child(name: str, folder: Path, log_level: str, parent: int) -> None:
    """The first thing that a child does: end with its parent, and log."""
    die_with_parent(parent)
    start_logging(name, folder, log_level)
