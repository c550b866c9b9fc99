"""The node's own results, as somebody who looks for them asks: those that hold, and were not purged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, and_, select

from dibmg_node.storage.schema import results, studies
from dibmg_node.storage.selftests import is_patients


@dataclass(frozen=True)
class HeldResult:
    """One result in the archive."""

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str


class Catalog:
    """Read-only questions about results."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def newest(
        self,
        study_uids: Sequence[str] = (),
        series_uids: Sequence[str] = (),
        sop_uids: Sequence[str] = (),
        most_studies: int = 1,
    ) -> list[HeldResult]:
        """Results of the newest studies that have any.

        Those of a study's last reading: they hold until a further image is read. What a later reading
        replaced or withdrew is not among them, what withdraws it is.

        Args:
            study_uids: Only of these; empty: of any.
            series_uids: The same.
            sop_uids: The same.
            most_studies: Number of studies at most.

        Returns:
            Newest study first; results of a study, and of a series, one after the other.
        """
        named = [
            column.in_(list(uids))
            for column, uids in (
                (results.c.study_uid, study_uids),
                (results.c.series_uid, series_uids),
                (results.c.sop_uid, sop_uids),
            )
            if uids
        ]
        holds = and_(
            results.c.study_uid == studies.c.study_uid,
            results.c.revision == studies.c.analyzed_revision,
            results.c.replaced_at.is_(None),
            results.c.purged_at.is_(None),
            *named,
        )
        newest = select(studies.c.study_uid).where(
            is_patients(), select(results.c.sop_uid).where(holds).correlate(studies).exists()
        )
        if named:  # few are looked through for them then, not all
            newest = newest.where(studies.c.study_uid.in_(select(results.c.study_uid).where(*named)))
        newest = newest.order_by(studies.c.received_at.desc(), studies.c.study_uid).limit(most_studies)
        query = (
            select(results)
            .join(studies, holds)
            .where(results.c.study_uid.in_(newest))
            .order_by(
                studies.c.received_at.desc(),
                results.c.study_uid,
                results.c.series_uid,
                results.c.sop_uid,
            )
        )
        with self._engine.connect() as connection:
            return [
                HeldResult(
                    row["study_uid"],
                    row["series_uid"],
                    row["sop_uid"],
                    row["sop_class_uid"],
                    row["transfer_syntax_uid"],
                )
                for row in connection.execute(query).mappings()
            ]
