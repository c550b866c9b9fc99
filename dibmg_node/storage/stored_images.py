"""What the archive holds of one study, as a model is handed it."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select

from dibmg_node.domain.study import Study
from dibmg_node.storage.facts_json import load_facts
from dibmg_node.storage.schema import instances


def stored_images(
    connection: Connection, study_uid: str, revision: int
) -> tuple[Study, Mapping[str, tuple[int, int]]]:
    """The study with every instance that was not purged, in the order of their UIDs.

    Returns:
        Beside it size and CRC-32 of each instance, by SOP Instance UID, as intake counted them.
    """
    stored = connection.execute(
        select(instances).where(instances.c.study_uid == study_uid, instances.c.purged_at.is_(None))
    ).mappings()
    # the same order on every database: PostgreSQL sorts by the collation of its server
    rows = sorted(stored, key=lambda one: str(one["sop_uid"]))
    study = Study(study_uid, revision, tuple(load_facts(one["facts"]) for one in rows))
    return study, {one["sop_uid"]: (one["size"], one["crc32"]) for one in rows}
