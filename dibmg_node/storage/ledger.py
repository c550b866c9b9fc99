"""The ledger: the durable record of studies, results and deliveries. One public method, one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from sqlalchemy import Engine

from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.storage.alarms import Alarms
from dibmg_node.storage.arriving import Arrivals
from dibmg_node.storage.beats import Beats
from dibmg_node.storage.catalog import Catalog
from dibmg_node.storage.claims import Claims
from dibmg_node.storage.decisions import Decisions
from dibmg_node.storage.drift_baselines import DriftBaselines
from dibmg_node.storage.engine import one_moment, open_engine, reading
from dibmg_node.storage.exam_scores import ExamScores
from dibmg_node.storage.follow_ups import FollowUps
from dibmg_node.storage.growth import Growth
from dibmg_node.storage.holdings import Holdings
from dibmg_node.storage.listing import Listing
from dibmg_node.storage.marks import Marks
from dibmg_node.storage.nodes import Nodes
from dibmg_node.storage.notices import Notices
from dibmg_node.storage.outbox import Outbox
from dibmg_node.storage.overdue import OverdueResults
from dibmg_node.storage.pace import Pace
from dibmg_node.storage.pauses import Pauses
from dibmg_node.storage.proofs import Proofs
from dibmg_node.storage.purges import Purges
from dibmg_node.storage.reach import Reach
from dibmg_node.storage.receipts import Receipts
from dibmg_node.storage.records import Records
from dibmg_node.storage.rejections import Rejections
from dibmg_node.storage.retries import Retries
from dibmg_node.storage.selftests import SelfTests
from dibmg_node.storage.shadow_readings import ShadowReadings
from dibmg_node.storage.tally import Tally
from dibmg_node.storage.turns import Turns
from dibmg_node.storage.views import Views
from dibmg_node.storage.wrong_clocks import WrongClocks


@dataclass(frozen=True)
class Ledger:
    """The ledger's sides, each for one kind of process."""

    engine: Engine
    policy: ExamPolicy
    receipts: Receipts
    claims: Claims
    arrivals: Arrivals
    retries: Retries
    decisions: Decisions
    pauses: Pauses
    outbox: Outbox
    proofs: Proofs
    purges: Purges
    overdue: OverdueResults
    alarms: Alarms
    notices: Notices
    beats: Beats
    rejections: Rejections
    views: Views
    catalog: Catalog
    holdings: Holdings
    listing: Listing
    pace: Pace
    selftests: SelfTests
    exam_scores: ExamScores
    drift_baselines: DriftBaselines
    follow_ups: FollowUps
    shadow_readings: ShadowReadings
    nodes: Nodes
    turns: Turns
    marks: Marks
    growth: Growth
    reach: Reach
    records: Records
    tally: Tally
    wrong_clocks: WrongClocks

    @contextmanager
    def at_one_moment(self) -> Iterator[Ledger]:
        """The same ledger for questions alone, all of which see one moment."""
        with one_moment(self.engine) as engine:
            yield _ledger(engine, self.policy)


def open_ledger(url: str, policy: ExamPolicy) -> Ledger:
    """Open a ledger that has the current schema (`compatibility.migrate` brings it there)."""
    return _ledger(open_engine(url), policy)


def _ledger(engine: Engine, policy: ExamPolicy) -> Ledger:
    return Ledger(
        engine,
        policy,
        Receipts(engine, policy),
        Claims(engine),
        Arrivals(reading(engine)),
        Retries(engine),
        Decisions(engine),
        Pauses(engine),
        Outbox(engine, Random().random),
        Proofs(engine, Random().random),
        Purges(engine),
        OverdueResults(reading(engine)),
        Alarms(engine),
        Notices(engine),
        Beats(engine),
        Rejections(engine),
        Views(reading(engine)),
        Catalog(reading(engine)),
        Holdings(engine),
        Listing(reading(engine)),
        Pace(reading(engine)),
        SelfTests(engine),
        ExamScores(reading(engine)),
        DriftBaselines(engine),
        FollowUps(engine),
        ShadowReadings(engine),
        Nodes(engine),
        Turns(engine),
        Marks(engine),
        Growth(reading(engine)),
        Reach(reading(engine)),
        Records(reading(engine)),
        Tally(engine),
        WrongClocks(engine),
    )
