"""What each process of the node does with its life: intake, web, sweep, analysis, shadow, delivery."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final

from dibmg_node import health, serving, tasks, wiring
from dibmg_node.alarming import alarming
from dibmg_node.auditing import audited, forwarding
from dibmg_node.config import Settings
from dibmg_node.errors import PermanentError, RetryableError
from dibmg_node.processes import process_name
from dibmg_node.purging import purging
from dibmg_node.role_choice import Role, roles_of
from dibmg_node.role_life import beating, renewed_by_signal, stopped_by_signal
from dibmg_node.services.audit import Auditor
from dibmg_node.services.intake import Intake
from dibmg_node.services.lanes import Lanes
from dibmg_node.services.sweep import Sweep
from dibmg_node.services.tracing import Tracer
from dibmg_node.services.turned_away import TurnedAwayCount
from dibmg_node.services.wire import TurnedAway
from dibmg_node.shadowing import make_shadow
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.tasks import BrokerUnavailableError, CeleryPublisher, Queue, open_queue
from dibmg_node.telemetry import telemetry

_log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 0.5
SWEEP_TURN: Final = timedelta(seconds=10)
"""Of several machines that sweep one does; another takes over from one that is silent for this long."""
DRAIN_SECONDS: Final = 20.0
_WATCH_SECONDS: Final = 1.0
_DELIVERY_SECONDS: Final = 300.0
_SHADOW_SECONDS: Final = 1.0


def play(role: Role, settings: Settings) -> None:
    """Live as one process of the node until SIGTERM."""
    with audited(settings, role.value, wiring.now) as audit, forwarding(settings):
        _ROLES[role](settings, audit)


def _intake(settings: Settings, audit: Auditor) -> None:
    ledger = wiring.open_node_ledger(settings)
    intake = _repaired_intake(settings, ledger, wiring.open_archive(settings), audit)
    count = TurnedAwayCount(ledger.rejections, wiring.now)

    def turned_away(who: TurnedAway) -> None:
        count.tell(who)
        audit.turned_away(who)

    acceptor = wiring.make_acceptor(settings, intake, ledger, turned_away)
    acceptor.start()
    signs = beating(settings, ledger, Role.INTAKE, lambda: f"port {acceptor.port}", count.enter)
    with stopped_by_signal() as stopping, renewed_by_signal(acceptor.renew), signs:
        stopping.wait()
        acceptor.stop(DRAIN_SECONDS)


def _web(settings: Settings, audit: Auditor) -> None:
    ledger = wiring.open_node_ledger(settings)
    intake = _repaired_intake(settings, ledger, wiring.open_archive(settings, serving.WEB_SPOOL), audit)
    look = partial(health.look, settings, ledger, roles_of(settings))
    server = serving.make_web_server(settings, ledger, intake, audit, look)
    server.start()
    signs = beating(settings, ledger, Role.WEB, lambda: f"port {server.port}")
    with stopped_by_signal() as stopping, renewed_by_signal(server.renew), signs:
        while not stopping.wait(_WATCH_SECONDS):
            if not server.alive:
                raise PermanentError("the web server ended by itself")
        server.stop()


def _repaired_intake(settings: Settings, ledger: Ledger, archive: Archive, audit: Auditor) -> Intake:
    """A receiving side of this process's own spool, rid of what its predecessor left there."""
    archive.prepare()
    intake = wiring.make_intake(settings, ledger, archive, audit)
    removed = intake.repair()
    if removed:
        _log.warning("unfinished files removed from the spool", extra={"count": removed})
    return intake


def _sweep(settings: Settings, audit: Auditor) -> None:
    ledger = wiring.open_node_ledger(settings)
    purge, archive = wiring.make_purge(settings, ledger, audit), wiring.open_archive(settings)
    sweep = Sweep(ledger, CeleryPublisher(_open_queue(settings)), wiring.now)
    on_turn = threading.Event()
    silent = False
    look = partial(health.look, settings, ledger, roles_of(settings))
    name = process_name(Role.SWEEP, settings.node_name)
    with (
        stopped_by_signal() as stopping,
        beating(settings, ledger, Role.SWEEP),
        alarming(settings, ledger, look, wiring.now),
        purging(purge, ledger, archive, wiring.now, on_turn.is_set),
    ):
        while not stopping.wait(SWEEP_SECONDS):
            try:
                if not ledger.turns.take(Role.SWEEP, name, wiring.now(), SWEEP_TURN):
                    on_turn.clear()
                    continue
                on_turn.set()
                sweep.run()
                silent = False
            except BrokerUnavailableError as error:
                if not silent:
                    _log.warning("broker silent", extra={"reason": str(error)})
                silent = True
            except RetryableError as error:
                _log.warning("sweep broken off", extra={"reason": str(error)})
        with suppress(RetryableError):
            ledger.turns.give_up(Role.SWEEP, name)


def _analysis(settings: Settings, audit: Auditor) -> None:
    ledger = wiring.open_node_ledger(settings)
    name = process_name(Role.ANALYSIS, settings.node_name)
    left = ledger.claims.end_claims_of(name, wiring.now())
    if left:
        _log.warning("claims of a worker that is gone ended", extra={"count": left})
    # nobody else writes there: what lies there half written is a dead worker's
    wiring.open_archive(settings).clear_drafts()
    analyst = wiring.make_analyst(settings, ledger, name)
    app = _open_queue(settings)
    publisher = CeleryPublisher(app)

    def analyze(tracer: Tracer, study_uid: str, revision: int) -> None:
        began = wiring.now()
        for destination in analyst.analyze(study_uid, revision):
            publisher.deliver(study_uid, revision, destination)
        tracer.analyzed(study_uid, revision, began)

    def isolation() -> str:
        found = analyst.sandbox.isolation
        return found.words if found else "model: loading"

    try:
        with beating(settings, ledger, Role.ANALYSIS, isolation), telemetry(settings, Role.ANALYSIS) as tell:
            analyst.sandbox.start()
            tracer = Tracer(ledger.pace, tell, wiring.now)
            tasks.run_worker(app, name, tasks.ANALYSES, analyze=partial(analyze, tracer))
    finally:
        analyst.sandbox.stop()


def _shadow(settings: Settings, audit: Auditor) -> None:
    ledger = wiring.open_node_ledger(settings)
    with stopped_by_signal() as stopping, beating(settings, ledger, Role.SHADOW):
        shadow = make_shadow(settings, ledger, stopping.is_set)
        try:
            while not stopping.is_set():
                try:
                    if shadow.read_one():
                        continue
                except (RetryableError, OSError) as error:
                    told = error.strerror if isinstance(error, OSError) else str(error)
                    _log.warning("shadow broken off", extra={"reason": told})
                stopping.wait(_SHADOW_SECONDS)
        finally:
            shadow.sandbox.stop()


def _delivery(settings: Settings, audit: Auditor) -> None:
    ledger = wiring.open_node_ledger(settings)
    name = process_name(Role.DELIVERY, settings.node_name)
    ledger.outbox.release(name, wiring.now())
    courier = wiring.make_courier(settings, ledger, audit, name)
    prover = wiring.make_prover(settings, ledger, name)

    def work(tracer: Tracer, study_uid: str, destination: str) -> None:
        began = wiring.now()
        sent = courier.deliver(study_uid, destination)
        if sent:
            tracer.delivered(study_uid, destination, began)
        proven = prover.prove(study_uid, destination)
        if not (sent or proven):
            extra = {"study_uid": study_uid, "destination": destination}
            _log.info("message dropped: nothing is due, or it is in hand", extra=extra)

    with beating(settings, ledger, Role.DELIVERY), telemetry(settings, Role.DELIVERY) as tell:
        lanes = Lanes(partial(work, Tracer(ledger.pace, tell, wiring.now)))

        def deliver(study_uid: str, revision: int, destination: str) -> None:
            lanes.give(study_uid, destination, ledger.outbox.priority_of(study_uid))

        try:
            tasks.run_worker(
                _open_queue(settings),
                name,
                tasks.DELIVERIES,
                deliver=deliver,
                before_end=lambda: lanes.stop(DRAIN_SECONDS),
            )
        finally:
            left = lanes.stop(DRAIN_SECONDS)
            if left:
                _log.warning("destinations that hang are left; theirs is sent again", extra={"count": left})


_ROLES: Final[Mapping[Role, Callable[[Settings, Auditor], None]]] = {
    Role.INTAKE: _intake,
    Role.WEB: _web,
    Role.SWEEP: _sweep,
    Role.ANALYSIS: _analysis,
    Role.SHADOW: _shadow,
    Role.DELIVERY: _delivery,
}


def _open_queue(settings: Settings) -> Queue:
    longest = max(settings.model.deadline_seconds, _DELIVERY_SECONDS)
    return open_queue(settings.broker_url, longest, wiring.broker_tls(settings))
