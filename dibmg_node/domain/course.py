"""The course of a study: which step took how long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dibmg_node.domain.counted import counted
from dibmg_node.domain.lifecycle import HELD, DeliveryState, StudyEvent

_ENDS: Final = (StudyEvent.REPORTED, StudyEvent.EXCLUDED, StudyEvent.GIVEN_UP, StudyEvent.CANCELED)


@dataclass(frozen=True)
class Step:
    """One step of a study's last revision.

    Attributes:
        name: `receiving`, `waiting`, `analysis` or `delivery to NAME`.
        end: None: it has not ended.
        outcome: How it ended, or what it waits for.
    """

    name: str
    begin: datetime
    end: datetime | None
    outcome: str = ""

    @property
    def seconds(self) -> float | None:
        """How long it took; None: it has not ended."""
        return None if self.end is None else (self.end - self.begin).total_seconds()


@dataclass(frozen=True)
class Owing:
    """One result and one destination.

    Attributes:
        settled_at: When it was stored or refused; None: it is still owed.
    """

    destination: str
    state: DeliveryState
    owed_since: datetime
    settled_at: datetime | None


@dataclass(frozen=True)
class Life:
    """What the ledger knows of a study's last revision.

    Attributes:
        events: When each event of its history was, in order.
        owing: Its deliveries.
        images: Since they were last received anew.
    """

    receiving_since: datetime
    last_instance_at: datetime
    images: int
    events: Sequence[tuple[datetime, str]]
    owing: Sequence[Owing]


def course(life: Life) -> list[Step]:
    """Steps of a study, in order; those that have not begun are left out."""
    steps = [
        Step("receiving", life.receiving_since, life.last_instance_at, counted(life.images, "image")),
        *_reading(life),
    ]
    names = sorted({one.destination for one in life.owing})
    return steps + [_delivery(name, [one for one in life.owing if one.destination == name]) for name in names]


def _reading(life: Life) -> Iterator[Step]:
    """Waiting for a worker, and the analysis; several attempts are one."""
    asked = [at for at, event in life.events if event == StudyEvent.RETRY_ASKED]
    begin = max([life.last_instance_at, *asked])
    claims = [at for at, event in life.events if event == StudyEvent.CLAIMED and at >= begin]
    if not claims:
        canceled = [at for at, event in life.events if event == StudyEvent.CANCELED and at >= begin]
        yield Step("waiting", begin, canceled[0], "canceled") if canceled else Step("waiting", begin, None)
        return
    yield Step("waiting", begin, claims[0])
    ends = [(at, event) for at, event in life.events if event in _ENDS and at >= claims[0]]
    end, outcome = ends[0] if ends else (None, "")
    failed = sum(event == StudyEvent.ATTEMPT_FAILED and at >= begin for at, event in life.events)
    told = f"after {counted(failed, 'failed attempt')}" if failed else ""
    yield Step("analysis", claims[0], end, ", ".join(part for part in (outcome, told) if part))


def _delivery(destination: str, owing: Sequence[Owing]) -> Step:
    """All that one destination is owed of a study is one step: it has ended when the last is settled."""
    open_ = sum(one.state is DeliveryState.OWED for one in owing)
    settled = [one.settled_at for one in owing if one.settled_at is not None]
    counts = {
        "stored": sum(one.state in HELD for one in owing),
        "refused": sum(one.state is DeliveryState.REFUSED for one in owing),
        "canceled": sum(one.state is DeliveryState.CANCELED for one in owing),
        "owed": open_,
    }
    outcome = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    begin = min(one.owed_since for one in owing)
    return Step(f"delivery to {destination}", begin, None if open_ else max(settled, default=None), outcome)
