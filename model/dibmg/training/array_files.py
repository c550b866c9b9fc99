"""Arrays on the disk that are there whole, or not at all."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dibmg.room import needs_room

Mapped = np.memmap[Any, np.dtype[np.uint8]]
"""An array whose elements are those of a file."""


@contextmanager
def whole_arrays(paths: Sequence[Path], shape: tuple[int, ...]) -> Iterator[list[Mapped]]:
    """Arrays to be filled, which get their names once all of them are, in their order.

    Their bytes are asked of the disk before there is anything to put in: a sparse file that is mapped ends
    the process (SIGBUS) where the disk turns out to be full. Nothing of them is left where they are not
    filled, and what killed processes left of others in the folder goes too.

    Args:
        paths: `.npy`, in one folder.
        shape: Of each; uint8.

    Raises:
        StorageFullError: No room; the message tells how many bytes were wanted, and where.
    """
    folder = paths[0].parent
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    # two processes may fill the same arrays at a time
    partials = [path.with_suffix(f".{os.getpid()}.partial.npy") for path in paths]
    try:
        with ExitStack() as held:
            for partial in partials:
                _lock(held.enter_context(partial.open("wb")))
            with needs_room(f"{len(paths) * prod(shape)} bytes of prepared images in {folder}"):
                arrays = [_allocated(partial, shape) for partial in partials]
            yield arrays
            for array in arrays:
                array.flush()
            for partial, path in zip(partials, paths, strict=True):
                partial.rename(path)
    finally:
        for partial in partials:
            partial.unlink(missing_ok=True)


def _allocated(path: Path, shape: tuple[int, ...]) -> Mapped:
    """An array of a file that has all of its bytes on the disk."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _remove_abandoned(folder: Path) -> None:
    """Remove what nobody is filling, not even in another container or on another host."""
    for partial in folder.glob("*.partial.npy"):
        with suppress(FileNotFoundError, BlockingIOError), partial.open("rb") as file:
            _lock(file)
            partial.unlink(missing_ok=True)


def _lock(file: BinaryIO) -> None:
    """Hold it until it is closed.

    Raises:
        BlockingIOError: Another process holds it.
    """
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
