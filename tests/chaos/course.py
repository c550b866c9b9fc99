"""One course of chaos: send and kill at the same time, let everything settle, draw up the accounts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.chaos.accounting import Account, Expectation, account, read_ledger
from tests.chaos.modality import Journal, Load, Modalities
from tests.chaos.processes import KeptNode, Killer, OrthancPacs, Peer, RecordingPacs, Victim
from tests.chaos.studies import FINAL_STATE, Kind, SentInstance, SentStudy, studies
from tests.flow.running_node import RunningNode

SETTLE_SECONDS: Final = 60
"""Every study is final so soon after the last restart."""
_PATIENCE_SECONDS: Final = 600
"""How long a course that makes no progress is waited for, so that its accounts still tell why."""
_TICK_SECONDS: Final = 0.2


@dataclass(frozen=True)
class Course:
    """How much of it.

    Attributes:
        instances: Acknowledged ones, each counted once, at least.
        kills: At least.
        modalities: That send at once.
        open_studies: Studies that are on their way at once.
        orthanc: Deliver to an Orthanc instead of the PACS that writes down everything.
    """

    seed: int
    instances: int
    kills: int
    modalities: int = 4
    open_studies: int = 10
    orthanc: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a course."""

    account: Account
    figures: dict[str, Any]


def run(course: Course, folder: Path, tell: Callable[[str], None]) -> Outcome:
    """Run a course in a new folder.

    Args:
        course: How much.
        folder: Keeps everything that it leaves.
        tell: Told now and then how far it is.
    """
    began = time.monotonic()
    pacs: Peer = (OrthancPacs if course.orthanc else RecordingPacs)(folder / "pacs")
    node = RunningNode(folder / "node", {"pacs": pacs.port}, quiet_seconds=3)
    kept = KeptNode(node)
    journal = Journal(folder / "acknowledged.jsonl")
    # a little more often than in the mean: a part that is just being started again cannot be killed
    every = 0.85 * course.instances / course.kills
    killer = Killer(kept, pacs, course.seed, every, lambda: len(journal))
    pacs.start()
    kept.start()
    modalities = Modalities(node.port, journal, course.seed, course.modalities)
    try:
        if not kept.ready.wait(_PATIENCE_SECONDS):
            raise RuntimeError(f"the node did not come up; {node.logs()}")
        killer.start()
        sent = _Sent(course, modalities, journal, killer, folder / "node" / "var" / "ledger.sqlite")
        sent.send_all(tell)
        killer.end()
        _wait(lambda: _all_run(kept))
        restarted = time.monotonic()
        tell("the last restart is over; everything must settle now")
        _wait(lambda: not sent.unsettled(), SETTLE_SECONDS)
        late = bool(sent.unsettled())
        _wait(lambda: not sent.unsettled(), _PATIENCE_SECONDS if late else 0)
        settled = time.monotonic() - restarted
        modalities.end()
    finally:
        killer.end()
        code = kept.stop()
        if pacs.pid() is None:
            pacs.start()
        held = pacs.held()
        pacs.stop()
        journal.close()
    found = account(folder / "node" / "var", journal.instances(), sent.expected(pacs.refuses), held)
    found.outlived += killer.orphans
    if late:
        found.not_final.append(f"not everything settled within {SETTLE_SECONDS} s")
    ledger = read_ledger(folder / "node" / "var" / "ledger.sqlite")
    figures = {
        "seed": course.seed,
        "instances_acknowledged": len(journal),
        "answers_0x0000": journal.answers,
        "associations_broken": journal.broken,
        "studies": dict(Counter(one.kind.name.lower() for one in sent.studies)),
        "states": dict(Counter(state for state, *_ in ledger.studies.values())),
        "failed_by_three_kills": sum(ledger.killed_too_often(uid) for uid in ledger.studies),
        "results_at_pacs": len(held),
        "kills": {victim.value: count for victim, count in killer.kills.items()},
        "kills_total": killer.total,
        "node_starts": kept.starts,
        "node_starts_broken_off": kept.failed_starts,
        "settled_seconds": round(settled, 1),
        "exit_code_of_the_node": code,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "faults": {name: len(of) for name, of in found.faults().items()},
    }
    return Outcome(found, figures)


class _Sent:
    """The sending side of a course: what was sent, and what is still due."""

    def __init__(
        self, course: Course, modalities: Modalities, journal: Journal, killer: Killer, ledger: Path
    ) -> None:
        self.studies: list[SentStudy] = []
        self._course = course
        self._modalities = modalities
        self._journal = journal
        self._killer = killer
        self._ledger = ledger
        self._random = Random(f"course {course.seed}")
        self._more = studies(course.seed)
        self._loads: dict[str, list[Load]] = {}
        self._open: dict[str, SentStudy] = {}

    def send_all(self, tell: Callable[[str], None]) -> None:
        """Send until there are enough instances and kills, and until all is acknowledged."""
        told = time.monotonic()
        while not (self._is_enough() and all(load.done.is_set() for load in self._all_loads())):
            if not self._killer.is_alive:
                raise RuntimeError("the killer has ended")
            self._follow_up()
            if not self._is_enough() and len(self._open) < self._course.open_studies:
                self._send_some()
            if time.monotonic() - told > 15:
                told = time.monotonic()
                tell(f"{len(self._journal)} instances acknowledged, {self._killer.total} kills")
            time.sleep(_TICK_SECONDS)

    def unsettled(self) -> list[str]:
        """Studies that are not final, or still owe a result."""
        return read_ledger(self._ledger).unsettled(one.study_uid for one in self.studies)

    def expected(self, refuses: bool) -> dict[str, Expectation]:
        """What must become of each study, at a PACS that refuses reports or does not."""
        expected = {kind: Expectation(state) for kind, state in FINAL_STATE.items()}
        expected[Kind.REFUSED] = Expectation("FAILED", 0) if refuses else Expectation("DELIVERED")
        return {one.study_uid: expected[one.kind] for one in self.studies}

    def _is_enough(self) -> bool:
        return len(self._journal) >= self._course.instances and self._killer.total >= self._course.kills

    def _all_loads(self) -> list[Load]:
        return [load for loads in self._loads.values() for load in loads]

    def _send_some(self) -> None:
        """One to three studies, their images mixed over one to four associations."""
        some = [next(self._more) for _ in range(self._random.randint(1, 3))]
        self.studies += some
        self._open |= {one.study_uid: one for one in some}
        self._deal([instance for one in some for instance in one.first])

    def _follow_up(self) -> None:
        """What comes after the results of a study; where nothing does, it is not looked at any more."""
        unsettled = set(read_ledger(self._ledger).unsettled(self._open))
        for uid, study in list(self._open.items()):
            if uid in unsettled or not all(load.done.is_set() for load in self._loads[uid]):
                continue
            del self._open[uid]
            if study.later:
                self._deal(list(study.later))

    def _deal(self, instances: list[SentInstance]) -> None:
        self._random.shuffle(instances)
        count = min(self._random.randint(1, self._course.modalities), len(instances))
        for n in range(count):
            load = Load(instances[n::count])
            self._modalities.give(load)
            for one in load.instances:
                self._loads.setdefault(one.study_uid, []).append(load)


def _all_run(kept: KeptNode) -> bool:
    """Whether the whole node runs, but for a model process without work: the next study starts it again."""
    parts = set(Victim) - {Victim.PACS, Victim.MODEL}
    return kept.ready.is_set() and all(kept.pid_of(part) for part in parts)


def _wait(until: Callable[[], bool], seconds: float = _PATIENCE_SECONDS) -> None:
    """Wait until something holds, or for so long; who asks looks again."""
    deadline = time.monotonic() + seconds
    while not until() and time.monotonic() < deadline:
        time.sleep(_TICK_SECONDS)
