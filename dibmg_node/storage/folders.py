"""Folders that are still there after a power loss."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from dibmg_node.storage.ownership import hand_over

_SYNCED: Final[set[Path]] = set()
"""Folders whose entry this process has seen on the disk.

Another process may have made a folder and not have synced it yet, or have died before: that it is there
says nothing. Once a process is enough; threads that meet here sync it twice at worst.
"""


def make_folder(folder: Path) -> None:
    """Return when a folder is there, and its entry in its parent on the disk.

    Raises:
        OSError: It cannot be made, or not be synced.
    """
    try:
        folder.mkdir()
    except FileExistsError:
        if folder in _SYNCED:
            return
    hand_over(folder)
    sync_folder(folder.parent)
    _SYNCED.add(folder)


def sync_path(folder: Path) -> None:
    """Put a folder's content on the disk, and its entry, and that of every folder on the way to it.

    What lies on another file system was mounted there, and is not this program's to make.

    Raises:
        OSError: A folder cannot be synced.
    """
    device = folder.stat().st_dev
    for one in (folder, *folder.absolute().parents):
        if one.stat().st_dev != device or not os.access(one, os.R_OK):
            return
        sync_folder(one)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk.

    Raises:
        OSError: It cannot be synced.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
