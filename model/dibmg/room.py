"""A full disk, told in the error family."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from dibmg_node.errors import StorageFullError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


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
        if error.errno in _FULL:
            raise StorageFullError(f"no room for {what}") from error
        raise
