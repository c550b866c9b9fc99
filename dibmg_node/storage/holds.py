"""Holding one instance on several machines at once: by the ledger, for a shared folder may know no locks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import blake2b
from typing import TypeAlias

from sqlalchemy import Engine, func, select

Hold: TypeAlias = Callable[[str], AbstractContextManager[None]]
"""Keeps every other thread and process from naming an instance until the ledger knows of it, and from
removing its file."""


class Holds:
    """Locks of a PostgreSQL server; they end with their transaction, however that ends."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def held(self, sop_uid: str) -> Iterator[None]:
        """As `Archive.held`, for every process that shares the ledger.

        Raises:
            LedgerUnavailableError: The ledger does not answer, or another process holds it for too long.
        """
        digest = blake2b(sop_uid.encode(), digest_size=8, person=b"dibmg-hold").digest()
        with self._engine.begin() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(int.from_bytes(digest, signed=True))))
            yield
