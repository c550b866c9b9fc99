"""What a confined child tries in the tests: each attempt answers with what it got."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def attempt(order: tuple[str, str]) -> str:
    """Try one thing; `done`, or the name of the error."""
    what, argument = order
    try:
        _ATTEMPTS[what](argument)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def build() -> Callable[[tuple[str, str]], str]:
    """Attempts, also from a thread that ran before the child was confined."""
    pool = ThreadPoolExecutor(1)
    pool.submit(os.getpid).result()

    def work(order: tuple[str, str]) -> str:
        what, argument = order
        if what.startswith("thread "):
            return pool.submit(attempt, (what.removeprefix("thread "), argument)).result()
        return attempt(order)

    return work


def prepare() -> None:
    """Nothing to prepare."""


def _connect(port: str) -> None:
    socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()


def _native(_: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0) < 0:
        raise OSError(ctypes.get_errno(), "socket")


def _append(path: str) -> None:
    with Path(path).open("ab") as file:
        file.write(b"!")


def _overwrite(path: str) -> None:
    os.close(os.open(path, os.O_RDWR))


def _execute(_: str) -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


_ATTEMPTS: dict[str, Callable[[str], object]] = {
    "connect": _connect,
    "native": _native,
    "read": lambda path: Path(path).read_bytes(),
    "make": lambda path: Path(path + ".new").write_bytes(b""),
    "append": _append,
    "overwrite": _overwrite,
    "remove": lambda path: Path(path).unlink(),
    "rename": lambda path: Path(path).rename(path + ".new"),
    "execute": _execute,
    "signal": lambda pid: os.kill(int(pid), signal.SIGCONT),
}
