"""The role `analysis`: reads exams."""

from __future__ import annotations

import logging
from functools import partial

from dibmg_node import tasks
from dibmg_node.config import Settings
from dibmg_node.machine.heap import give_back, share_one_arena
from dibmg_node.machine.processes import process_name
from dibmg_node.roles.ahead import looking_ahead
from dibmg_node.roles.life import beating
from dibmg_node.roles.queue import open_node_queue
from dibmg_node.services.audit import Auditor
from dibmg_node.services.tracing import Tracer
from dibmg_node.wiring import foundation
from dibmg_node.wiring.analyzing import make_analyst
from dibmg_node.wiring.role_choice import Role
from dibmg_node.wiring.telemetry import telemetry

_log = logging.getLogger(__name__)


def live(settings: Settings, audit: Auditor) -> None:
    """Analyze until SIGTERM."""
    share_one_arena()
    ledger = foundation.open_node_ledger(settings)
    name = process_name(Role.ANALYSIS, settings.node_name)
    left = ledger.claims.end_claims_of(name, foundation.now())
    if left:
        _log.warning("claims of a worker that is gone ended", extra={"count": left})
    # nobody else writes there: what lies there half written is a dead worker's
    foundation.open_archive(settings).clear_drafts()
    analyst = make_analyst(settings, ledger, name)
    app = open_node_queue(settings)
    publisher = tasks.CeleryPublisher(app)

    def analyze(tracer: Tracer, study_uid: str, revision: int) -> None:
        began = foundation.now()
        for destination in analyst.analyze(study_uid, revision):
            publisher.deliver(study_uid, revision, destination)
        tracer.analyzed(study_uid, revision, began)
        give_back()

    def isolation() -> str:
        found = analyst.sandbox.isolation
        return found.words if found else "model: loading"

    try:
        with beating(settings, ledger, Role.ANALYSIS, isolation), telemetry(settings, Role.ANALYSIS) as tell:
            analyst.sandbox.start()
            tracer = Tracer(ledger.pace, tell, foundation.now)
            with looking_ahead(settings, ledger, analyst):
                tasks.run_worker(app, name, tasks.ANALYSES, analyze=partial(analyze, tracer))
    finally:
        analyst.sandbox.stop()
