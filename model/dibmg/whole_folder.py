"""Folders that are replaced as a whole."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder to be filled, which takes the place of one that is there once it is whole.

    It is filled as `.<folder>.partial`, is on the disk then, and changes places by two renames. What is there
    stays where that fails before. A process that was killed between the two has left the earlier folder
    under the name `.<folder>.before`, and the next call puts it back first.

    Args:
        folder: Stays as it is where it has the same files of these names already; of a symbolic link, what
            it points to.
        names: Of files that are made.
    """
    folder = folder.resolve()
    # names that nobody gives a folder of his own: what has them is removed
    partial, before = (folder.with_name(f".{folder.name}.{state}") for state in ("partial", "before"))
    if before.exists() and not folder.exists():
        before.rename(folder)
    for left in (partial, before):
        if left.exists():
            shutil.rmtree(left)
    partial.mkdir(parents=True)
    try:
        yield partial
        _sync(partial)
    except BaseException:
        shutil.rmtree(partial)
        raise
    if _holds_the_same(folder, partial, names):
        shutil.rmtree(partial)
        return
    if folder.exists():
        folder.rename(before)
    partial.rename(folder)
    if before.exists():
        shutil.rmtree(before)


def _holds_the_same(folder: Path, other: Path, names: Sequence[str]) -> bool:
    same, _, _ = filecmp.cmpfiles(folder, other, names, shallow=False)
    return len(same) == len(names)


def _sync(folder: Path) -> None:
    """Have the disk take what was written: a rename may reach it earlier."""
    for path in (*folder.iterdir(), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
