"""What of a purged study is in the archive again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from dibmg_node.domain.study import MAMMOGRAMS, Instance
from dibmg_node.storage.facts_json import load_facts
from dibmg_node.storage.schema import instances


@dataclass(frozen=True)
class Remains:
    """What of a purged study is here, and what is not.

    Attributes:
        here: Instances that the archive holds, of whatever kind.
        newest: When the newest of them was first received; None where nothing is here.
        lacking: Images that would have to come again before the study is whole: its mammograms, since a
            fetch brings no more and nothing else changes a reading; all of a study that has none.
    """

    here: tuple[Instance, ...]
    newest: datetime | None
    lacking: int


def find_remains(connection: Connection, study_uid: str) -> Remains:
    """What of a purged study is here again."""
    query = select(instances.c.facts, instances.c.purged_at, instances.c.received_at)
    rows = [
        (load_facts(row.facts), row.purged_at is None, row.received_at)
        for row in connection.execute(query.where(instances.c.study_uid == study_uid))
    ]
    wanted = [is_here for one, is_here, _ in rows if one.kind in MAMMOGRAMS]
    wanted = wanted or [is_here for _, is_here, _ in rows]
    return Remains(
        here=tuple(one for one, is_here, _ in rows if is_here),
        newest=max((at for _, is_here, at in rows if is_here), default=None),
        lacking=wanted.count(False),
    )
