"""Studies whose images still arrive, for who makes ready what is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, literal_column, select

from dibmg_node.domain.lifecycle import StudyState
from dibmg_node.domain.pause import Part
from dibmg_node.domain.study import Study
from dibmg_node.storage.pauses import find_pause
from dibmg_node.storage.schema import studies
from dibmg_node.storage.stored_images import stored_images

# in the words of the partial index: a parameter would not match it
_ONE_WAITS: Final = (
    select(studies.c.study_uid)
    .where(studies.c.state == literal_column(f"'{StudyState.READY.value}'"))
    .limit(1)
)


@dataclass(frozen=True)
class Arriving:
    """What there is of a study that is not complete.

    Attributes:
        checksums: As of a `Claim`.
    """

    study: Study
    checksums: Mapping[str, tuple[int, int]]


class Arrivals:
    """Looks at what arrives; claims nothing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def latest(self, before_others: str = "") -> Arriving | None:
        """The study whose last image came last.

        None where none is arriving, where another waits to be read (whatever were made ready would be gone
        before its turn came), or where analysis is paused.

        Args:
            before_others: UID of a study that is meant as long as it is arriving; empty: none.
        """
        arriving = select(studies.c.study_uid, studies.c.revision).where(
            studies.c.state == StudyState.RECEIVING.value
        )
        with self._engine.connect() as connection:
            if connection.execute(_ONE_WAITS).first() or find_pause(connection, Part.ANALYSIS):
                return None
            found = connection.execute(arriving.where(studies.c.study_uid == before_others)).first()
            if found is None:
                latest = arriving.order_by(studies.c.last_instance_at.desc()).limit(1)
                found = connection.execute(latest).first()
            return Arriving(*stored_images(connection, *found)) if found else None
