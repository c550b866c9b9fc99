"""Operating: what a person decides while the node runs; entered, logged and audited in one way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dibmg_node.domain.audit import EventType
from dibmg_node.domain.pause import Part, Pause
from dibmg_node.domain.priority import Priority
from dibmg_node.domain.result import Wanted
from dibmg_node.errors import PermanentError
from dibmg_node.services.audit import Auditor
from dibmg_node.services.drift import DriftWatch
from dibmg_node.services.follow_up_file import ToldLine
from dibmg_node.services.follow_up_import import HeaderOf, Imported, import_follow_ups
from dibmg_node.storage.drift_baselines import Baseline
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.retries import Retry

_log = logging.getLogger(__name__)

LONGEST_REASON: Final = 200
_MOST_DEVICES: Final = 20


@dataclass(frozen=True)
class Person:
    """Who decides.

    Attributes:
        name: A user of the pages, or of this machine; empty where nobody has to log in.
        address: Where the pages are looked at from; empty for a command.
    """

    name: str
    address: str = ""


@dataclass(frozen=True)
class Retried:
    """What came of asking for many studies at once.

    Attributes:
        studies: Those that are tried again.
        left: Those that are not, with the reason.
    """

    studies: Sequence[str]
    left: Mapping[str, str]


@dataclass(frozen=True)
class Operating:
    """Carries out decisions.

    Attributes:
        wanted: What destinations are to get; None: whatever they are owed.
    """

    ledger: Ledger
    audit: Auditor
    now: Callable[[], datetime]
    wanted: Wanted | None = None

    def retry(self, who: Person, study_uid: str, what: Retry = Retry.AUTOMATIC) -> Retry:
        """Have an analysis or deliveries tried again.

        Raises:
            PermanentError: As `Retries.ask`.
        """
        tried = self.ledger.retries.ask(study_uid, self.now(), what, self.wanted)
        self._tell(who, EventType.RETRY, tried.value, study_uid)
        return tried

    def retry_refused(self, who: Person, destination: str, since: datetime) -> Retried:
        """Have everything sent again that a destination has refused, of studies since a time."""
        asked = self.ledger.retries.refused_by(destination, since)
        return self._retry_all(
            who,
            asked,
            f"{Retry.DELIVERY.value} to {destination}",
            lambda uid: self.ledger.retries.send_again(uid, destination, self.now(), self.wanted),
        )

    def retry_unread(self, who: Person, since: datetime) -> Retried:
        """Have every study read again whose analysis failed, of those since a time."""
        return self._retry_all(
            who,
            self.ledger.retries.unread(since),
            Retry.ANALYSIS.value,
            lambda uid: self.ledger.retries.ask(uid, self.now(), Retry.ANALYSIS, self.wanted),
        )

    def _retry_all(
        self, who: Person, study_uids: Sequence[str], told: str, ask: Callable[[str], object]
    ) -> Retried:
        tried: list[str] = []
        left: dict[str, str] = {}
        for study_uid in study_uids:
            try:
                if not ask(study_uid):
                    left[study_uid] = "nobody is to get it any more"
                    continue
            except PermanentError as error:  # it moved on meanwhile
                left[study_uid] = str(error)
                continue
            tried.append(study_uid)
            self._tell(who, EventType.RETRY, told, study_uid)
        return Retried(tried, left)

    def cancel(self, who: Person, study_uid: str, reason: str = "") -> int:
        """Give up a study that waits, and what destinations lack of it; returns how many deliveries that is.

        Raises:
            PermanentError: As `Decisions.cancel`, or the reason is too long.
        """
        told = one_line(reason)
        sentence = f"canceled by {who.name or 'an operator'}" + (f": {told}" if told else "")
        given_up = self.ledger.decisions.cancel(study_uid, sentence, self.now())
        self._tell(who, EventType.CANCEL, told, study_uid)
        return given_up

    def prioritize(self, who: Person, study_uid: str, priority: Priority) -> Priority:
        """Make a study as urgent as a person says; returns what it was before.

        Raises:
            PermanentError: The ledger has no such study.
        """
        before = self.ledger.decisions.set_priority(study_uid, priority, who.name, self.now())
        self._tell(who, EventType.PRIORITY, f"{priority.value}, before {before.value}", study_uid)
        return before

    def pause(self, who: Person, part: Part, name: str = "", reason: str = "") -> Pause:
        """Pause a part of the node, on every machine, until it is resumed.

        Raises:
            PermanentError: The reason is too long.
        """
        pause = self.ledger.pauses.begin(Pause(part, name, self.now(), who.name, one_line(reason)))
        self._tell(who, EventType.PAUSE, f"{pause.called}: {pause.reason}".removesuffix(": "))
        return pause

    def resume(self, who: Person, part: Part, name: str = "") -> Pause:
        """Resume a part of the node; returns the pause that is over.

        Raises:
            PermanentError: It is not paused.
        """
        pause = self.ledger.pauses.end(part, name, self.now())
        self._tell(who, EventType.RESUME, pause.called)
        return pause

    def enter_outcomes(
        self, who: Person, file: str, lines: Sequence[ToldLine], header_of: HeaderOf
    ) -> Imported:
        """Enter what a table tells of exams.

        Args:
            who: Enters it.
            file: Name of the table, for the trail.
            lines: Of the table.
            header_of: As `import_follow_ups`.
        """
        found = import_follow_ups(self.ledger.follow_ups, lines, self.now(), header_of)
        self._tell(who, EventType.OUTCOMES, f"{_printable(file)}: {found.sentence}")
        return found

    def fix_baseline(
        self, who: Person, watch: DriftWatch, exams: int, since: datetime | None
    ) -> Baseline | None:
        """Fix what scores are held against from now on; arguments and result as `DriftWatch.fix`."""
        baseline = watch.fix(exams, since, self.now())
        if baseline is not None:
            weights = baseline.weights_sha256[:12]
            told = f"baseline {baseline.version} for weights {weights}, exams: {_exams_of(baseline)}"
            self._tell(who, EventType.BASELINE, told)
        return baseline

    def _tell(self, who: Person, kind: EventType, description: str, study_uid: str = "") -> None:
        extra = {"user": who.name, "what": description}
        _log.info(f"{kind.code} asked", extra=extra | ({"study_uid": study_uid} if study_uid else {}))
        self.audit.operated(kind, who.name, who.address, description, study_uid)


def one_line(reason: str) -> str:
    """A reason as the ledger, logs and pages have it.

    Raises:
        PermanentError: It is too long.
    """
    told = _printable(reason)
    if len(told) > LONGEST_REASON:
        raise PermanentError(f"a reason has at most {LONGEST_REASON} characters, found {len(told)}")
    return told


def _exams_of(baseline: Baseline) -> str:
    """How many exams of which device, from all devices on."""
    told = [f"{one.exams} of {str(one.device) or 'all devices'}" for one in baseline.references]
    more = len(told) - _MOST_DEVICES
    return ", ".join(told[:_MOST_DEVICES]) + (f" and {more} more" if more > 0 else "")


def _printable(told: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in told).split())
