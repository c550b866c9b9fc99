"""Statements of one receipt, made once: to make them each time costs more than to run them.

Those that change rows take the values of their columns when they are run.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BindParameter, bindparam, delete, insert, select, update

from dibmg_node.storage.schema import instances, studies, study_keys, verdicts

_STUDY: Final[BindParameter[str]] = bindparam("of_study")
_INSTANCE: Final[BindParameter[str]] = bindparam("of_instance")
"""Not the names of the columns, which are those of values."""

KNOWN: Final = select(instances.c.size, instances.c.crc32, instances.c.purged_at).where(
    instances.c.sop_uid == _INSTANCE
)
STUDY: Final = (
    select(
        studies.c.study_uid,
        studies.c.state,
        studies.c.revision,
        studies.c.receiving_since,
        studies.c.claimed_at,
        studies.c.purged_at,
        studies.c.priority,
        studies.c.priority_set,
    )
    .where(studies.c.study_uid == _STUDY)
    .with_for_update()
)
OPEN: Final = insert(studies)
ENTER: Final = insert(instances)
COME_BACK: Final = update(instances).where(instances.c.sop_uid == _INSTANCE).values(purged_at=None)
KEYS: Final = select(study_keys.c.key).where(study_keys.c.study_uid == _STUDY)
ENTER_KEYS: Final = insert(study_keys)
FACTS: Final = select(instances.c.facts).where(
    instances.c.study_uid == _STUDY, instances.c.purged_at.is_(None)
)
FORGET_VERDICTS: Final = delete(verdicts).where(verdicts.c.study_uid == _STUDY)
