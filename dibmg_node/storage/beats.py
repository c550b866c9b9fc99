"""Signs of life of the node's processes."""

from __future__ import annotations

import os
from datetime import datetime

from sqlalchemy import Engine, delete, insert, update

from dibmg_node.storage.schema import beats


class Beats:
    """Enters that a process lives; `Views` tells who does not."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def start(self, process: str, now: datetime, detail: str = "") -> None:
        """A process has started."""
        with self._engine.begin() as connection:
            connection.execute(delete(beats).where(beats.c.process == process))
            connection.execute(
                insert(beats).values(process=process, at=now, since=now, pid=os.getpid(), detail=detail)
            )

    def beat(self, process: str, now: datetime, detail: str = "") -> None:
        """A process still lives."""
        with self._engine.begin() as connection:
            connection.execute(update(beats).where(beats.c.process == process).values(at=now, detail=detail))

    def stop(self, process: str) -> None:
        """A process has ended on purpose."""
        with self._engine.begin() as connection:
            connection.execute(delete(beats).where(beats.c.process == process))
