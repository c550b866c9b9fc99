"""Steps of a study's life in the ledger, for the tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.result import Result, Scores
from dibmg_node.domain.study import Instance, Laterality
from dibmg_node.storage.analysis_rows import Analysis, Outcome
from dibmg_node.storage.claims import Claim
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.settlement import Settlement
from tests.factories import LEASE, PATIENCE, STUDY_UID, Clock, a_result, received, screening, used

SCORES = Scores(0.7, {Laterality.RIGHT: 0.7, Laterality.LEFT: 0.1}, {})


def store(ledger: Ledger, clock: Clock, instances: Sequence[Instance] | None = None) -> None:
    """Receive instances: the four standard views, unless told otherwise."""
    for one in screening() if instances is None else instances:
        ledger.receipts.store(received(one), PATIENCE, clock())


def make_ready(ledger: Ledger, clock: Clock, instances: Sequence[Instance] | None = None) -> None:
    """Receive instances, and wait long enough."""
    store(ledger, clock, instances)
    clock.advance(PATIENCE.longest.total_seconds())
    ledger.receipts.complete_due(clock())


def claim(ledger: Ledger, clock: Clock, revision: int = 4, owner: str = "worker") -> Claim:
    return ledger.claims.claim(STUDY_UID, revision, owner, clock(), LEASE)


def analysis(
    results: Sequence[Result] = (),
    destinations: Sequence[str] = ("pacs",),
    outcome: Outcome = Outcome.ANALYZED,
    reason: str = "",
) -> Analysis:
    """What an analysis found; a report, owed to one destination, unless told otherwise."""
    results = results or (a_result(),)
    return Analysis(
        outcome=outcome,
        reason=reason,
        verdicts=[used(one) for one in screening()],
        reading={"findings": []},
        scores=SCORES if outcome is Outcome.ANALYZED else None,
        results=[(one, f"{one.sop_uid}.1") for one in results],
        owed={one.sop_uid: destinations for one in results},
    )


def analyze(ledger: Ledger, clock: Clock, found: Analysis | None = None, revision: int = 4) -> None:
    """Claim and commit."""
    ledger.claims.commit(claim(ledger, clock, revision), found or analysis(), clock())


def settle(
    ledger: Ledger, clock: Clock, state: DeliveryState, status: str = "", destination: str = "pacs"
) -> None:
    """Send what is due, with one answer for all."""
    owed = ledger.outbox.claim(STUDY_UID, destination, clock(), timedelta(minutes=5))
    ledger.outbox.settle(
        STUDY_UID,
        destination,
        [Settlement(one.sop_uid, state, status, "a comment") for one in owed],
        clock(),
    )


def state_of(ledger: Ledger) -> str:
    study = ledger.views.study(STUDY_UID)
    assert study is not None
    return str(study["state"])


def reason_of(ledger: Ledger) -> str:
    study = ledger.views.study(STUDY_UID)
    assert study is not None
    return str(study["reason"])


def deliveries_of(ledger: Ledger) -> list[tuple[str, str]]:
    """(result, state) of every delivery."""
    study = ledger.views.study(STUDY_UID)
    assert study is not None
    return [(one["sop_uid"], one["state"]) for one in study["deliveries"]]
