"""What operators have paused, for every machine on this ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)

from dibmg_node.domain.lifecycle import DeliveryState, StudyState
from dibmg_node.domain.pause import Part, Pause
from dibmg_node.errors import PermanentError
from dibmg_node.storage.delivery_rows import is_free, is_unproven, unlocked
from dibmg_node.storage.engine import reading
from dibmg_node.storage.schema import deliveries, pauses, studies

_ONE: Final = select(pauses).where(
    pauses.c.part == bindparam("of_part"),
    pauses.c.name == bindparam("of_name"),
    pauses.c.resumed_at.is_(None),
)
"""Made once: it is asked before every instance that is received."""


class Pauses:
    """Pauses parts of the node, and resumes them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)

    def all(self) -> list[Pause]:
        """Everything that is paused now."""
        with self._reading.connect() as connection:
            return _pauses(connection, pauses.c.resumed_at.is_(None))

    def find(self, part: Part, name: str = "") -> Pause | None:
        """The pause of one part; None: it is not paused."""
        with self._reading.connect() as connection:
            return find_pause(connection, part, name)

    def resumed_at(self, part: Part, name: str = "") -> datetime | None:
        """When the last pause of a part ended; None: it is paused, or never was."""
        query = select(pauses.c.resumed_at).where(_is(part, name))
        with self._reading.connect() as connection:
            found: datetime | None = connection.execute(query).scalar_one_or_none()
            return found

    def begin(self, pause: Pause) -> Pause:
        """Pause a part; where it is paused already, only who said so last, and why, changes.

        Returns:
            As it stands in the ledger now.
        """
        with self._engine.begin() as connection:
            before = find_pause(connection, pause.part, pause.name)
            found = pause if before is None else replace(pause, since=before.since)
            connection.execute(delete(pauses).where(_is(pause.part, pause.name)))
            values = {**vars(found), "part": found.part.value}
            connection.execute(insert(pauses).values(values))
            return found

    def end(self, part: Part, name: str, now: datetime) -> Pause:
        """Resume a part: what waited for it is due at once.

        Returns:
            The pause that is over.

        Raises:
            PermanentError: It is not paused.
        """
        with self._engine.begin() as connection:
            found = find_pause(connection, part, name)
            if found is None:
                raise PermanentError(f"{f'{part.value} {name}'.strip()} is not paused")
            connection.execute(update(pauses).where(_is(part, name)).values(resumed_at=now))
            if part is Part.ANALYSIS:
                # what was published before may have been dropped: nobody was told of it
                ready = studies.c.state == StudyState.READY.value
                connection.execute(update(studies).where(ready).values(published_at=None))
            elif part is Part.DESTINATION:
                _make_due(connection, name, now)
            return found


def find_pause(connection: Connection, part: Part, name: str = "") -> Pause | None:
    """The pause of one part; None: it is not paused."""
    row = connection.execute(_ONE, {"of_part": part.value, "of_name": name}).mappings().one_or_none()
    return None if row is None else _pause(row)


def paused_destinations(connection: Connection) -> list[str]:
    """Names of the destinations that get nothing now."""
    return [one.name for one in _pauses(connection, pauses.c.resumed_at.is_(None)) if one.name]


def resumed_after(connection: Connection, moment: datetime) -> list[str]:
    """Names of the destinations that were paused until after a moment."""
    condition = and_(pauses.c.part == Part.DESTINATION.value, pauses.c.resumed_at > moment)
    return [one.name for one in _pauses(connection, condition)]


def _pauses(connection: Connection, condition: ColumnElement[bool]) -> list[Pause]:
    query = select(pauses).where(condition).order_by(pauses.c.since, pauses.c.part, pauses.c.name)
    return [_pause(row) for row in connection.execute(query).mappings()]


def _pause(row: RowMapping) -> Pause:
    return Pause(Part(row["part"]), row["name"], row["since"], row["by"], row["reason"])


def _is(part: Part, name: str) -> ColumnElement[bool]:
    return and_(pauses.c.part == part.value, pauses.c.name == name)


def _make_due(connection: Connection, destination: str, now: datetime) -> None:
    """Results and proofs of a destination are due now, whatever backoff they had."""
    # what came to be owed in the meantime is due already, and may be much
    not_due = or_(deliveries.c.next_at > now, deliveries.c.published_at.is_not(None))
    for waiting in (deliveries.c.state == DeliveryState.OWED.value, is_unproven()):
        connection.execute(
            update(deliveries)
            .where(unlocked(deliveries.c.destination == destination, waiting, is_free(now), not_due))
            .values(next_at=now, published_at=None)
        )
