"""A full disk, told in the error family."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dibmg_node.errors import StorageFullError


@contextmanager
def needs_room(what: str) -> Iterator[None]:
    """Say of what there is no room for, where the disk is full.

    Args:
        what: That is written, and where.

    Raises:
        StorageFullError: No room on the file system, or by a quota or limit.
    """
    try:
        yield
    except OSError as error:
        if StorageFullError.explains(error):
            raise StorageFullError(f"no room for {what}") from error
        raise
