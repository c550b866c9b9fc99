"""The role `delivery`: sends results, and asks whether they are kept."""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from dibmg_node import tasks
from dibmg_node.config import Settings
from dibmg_node.machine.heap import give_back, share_one_arena
from dibmg_node.machine.processes import process_name
from dibmg_node.roles.life import beating
from dibmg_node.roles.queue import open_node_queue
from dibmg_node.services.audit import Auditor
from dibmg_node.services.lanes import Lanes
from dibmg_node.services.tracing import Tracer
from dibmg_node.wiring import foundation
from dibmg_node.wiring.delivering import make_courier, make_prover
from dibmg_node.wiring.registration import others_are_up
from dibmg_node.wiring.role_choice import Role
from dibmg_node.wiring.telemetry import telemetry

_log = logging.getLogger(__name__)

_DRAIN_SECONDS: Final = 20.0


def live(settings: Settings, audit: Auditor) -> None:
    """Deliver until SIGTERM."""
    share_one_arena()
    ledger = foundation.open_node_ledger(settings)
    name = process_name(Role.DELIVERY, settings.node_name)
    ledger.outbox.release(name, foundation.now())
    others = partial(others_are_up, settings, ledger)
    courier = make_courier(settings, ledger, audit, name, others)
    prover = make_prover(settings, ledger, name, others)

    def work(tracer: Tracer, study_uid: str, destination: str) -> None:
        began = foundation.now()
        sent = courier.deliver(study_uid, destination)
        if sent:
            tracer.delivered(study_uid, destination, began)
        proven = prover.prove(study_uid, destination)
        give_back()
        if not (sent or proven):
            extra = {"study_uid": study_uid, "destination": destination}
            _log.info("message dropped: nothing is due, or it is in hand", extra=extra)

    with beating(settings, ledger, Role.DELIVERY), telemetry(settings, Role.DELIVERY) as tell:
        lanes = Lanes(partial(work, Tracer(ledger.pace, tell, foundation.now)))

        def deliver(study_uid: str, revision: int, destination: str) -> None:
            lanes.give(study_uid, destination, ledger.outbox.priority_of(study_uid))

        try:
            tasks.run_worker(
                open_node_queue(settings),
                name,
                tasks.DELIVERIES,
                deliver=deliver,
                before_end=lambda: lanes.stop(_DRAIN_SECONDS),
            )
        finally:
            left = lanes.stop(_DRAIN_SECONDS)
            if left:
                _log.warning("destinations that hang are left; theirs is sent again", extra={"count": left})
