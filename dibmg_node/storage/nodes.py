"""The nodes that share the ledger: each `dibmg up` enters itself, and leaves when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from dibmg_node.storage.engine import reading
from dibmg_node.storage.schema import beats, nodes
from dibmg_node.storage.server_clock import MOST_APART, is_right

SILENT_AFTER = timedelta(seconds=20)
"""A node or a process that gave no sign of life for this long does not run."""

_FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class NodeEntry:
    """One node that is up.

    Attributes:
        token: Of its data folder: two of one name are told apart by it.
        roles: What it does.
        program: Its version.
        knows: The newest migration of the ledger that it knows.
        at: Its last sign of life.
    """

    name: str
    token: str
    roles: tuple[str, ...]
    program: str
    knows: str
    since: datetime
    at: datetime

    def is_silent(self, now: datetime) -> bool:
        """Whether it gave no sign of life for too long."""
        return is_silent(self.at, now)


def is_silent(at: datetime, now: datetime) -> bool:
    """Whether a sign of life is too old, or of a clock so wrong that it says nothing."""
    return abs(now - at) > SILENT_AFTER


class Nodes:
    """Enters nodes, and tells which there are."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)

    def enter(self, entry: NodeEntry) -> bool:
        """Enter a node that comes up; one that is silent since a day is forgotten.

        Args:
            entry: With the time in `at`.

        Returns:
            False: A node of this name with another data folder is up, or was a moment ago.
        """
        try:
            with self._engine.begin() as connection:
                connection.execute(delete(nodes).where(nodes.c.at < entry.at - _FORGOTTEN_AFTER))
                connection.execute(delete(beats).where(beats.c.at < entry.at - _FORGOTTEN_AFTER))
                over = (nodes.c.token == entry.token) | (nodes.c.at < entry.at - SILENT_AFTER)
                if is_right(connection, entry.at):
                    over |= nodes.c.at > entry.at + MOST_APART
                connection.execute(delete(nodes).where(nodes.c.name == entry.name, over))
                connection.execute(insert(nodes).values({**vars(entry), "roles": ",".join(entry.roles)}))
        except IntegrityError:
            return False
        return True

    def beat(self, entry: NodeEntry, now: datetime) -> bool:
        """A node is still up; whether it still stands there as it was entered."""
        mine = and_(nodes.c.name == entry.name, nodes.c.token == entry.token)
        with self._engine.begin() as connection:
            return connection.execute(update(nodes).where(mine).values(at=now)).rowcount == 1

    def leave(self, entry: NodeEntry) -> None:
        """A node has ended on purpose."""
        with self._engine.begin() as connection:
            mine = and_(nodes.c.name == entry.name, nodes.c.token == entry.token)
            connection.execute(delete(nodes).where(mine))

    def all(self) -> Sequence[NodeEntry]:
        """Every node that has not ended on purpose."""
        with self._reading.connect() as connection:
            rows = connection.execute(select(nodes).order_by(nodes.c.name)).mappings()
            return [NodeEntry(**{**row, "roles": tuple(row["roles"].split(","))}) for row in rows]

    def up(self, now: datetime) -> Sequence[NodeEntry]:
        """Those that may be up: they gave a sign of life of late, as one may whose clock is ahead.

        One further ahead than clocks of hosts at work differ has died, unless it is this machine's that is
        wrong.
        """
        found = [one for one in self.all() if one.at >= now - SILENT_AFTER]
        near = [one for one in found if one.at <= now + MOST_APART]
        if len(near) == len(found):
            return found
        with self._reading.connect() as connection:
            return near if is_right(connection, now) else found


def node_of(process: str) -> str:
    """Name of the node that a process belongs to, by the name that it signs with."""
    return process.partition("@")[2]
