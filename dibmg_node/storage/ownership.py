"""What root makes in a folder of the node's user is given to that user."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_ROOT: Final = 0


def hand_over(made: Path, like: Path | None = None) -> None:
    """Give a file or folder to the owner of its folder, where root runs this and it is root's.

    The service runs as a user of its own, and a command of root's must not leave behind what it cannot open.

    Args:
        made: Just now, or by an earlier command; a symbolic link is given away itself, not what it points to.
        like: Whose owner gets it; None: its folder.

    Raises:
        OSError: It is not there.
    """
    if os.geteuid() != _ROOT or made.lstat().st_uid != _ROOT:
        return
    owner = (like or made.parent).stat()
    if owner.st_uid != _ROOT:
        # a root without that capability is one of a container, and the service itself
        with suppress(PermissionError):
            os.chown(made, owner.st_uid, owner.st_gid, follow_symlinks=False)
