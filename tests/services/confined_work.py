"""What a confined child tries in the tests: each attempt answers with what it got."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_F_SETSIG = 10
_F_SETOWN_EX = 15
_F_OWNER_PID = 1
_FIOSETOWN = 0x8901
_SIOCSPGRP = 0x8902


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


def _own(command: int, argument: int | bytes) -> None:
    read, write = os.pipe()
    try:
        fcntl.fcntl(read, command, argument)
    finally:
        os.close(read)
        os.close(write)


def _lock(path: str) -> None:
    with Path(path).open("rb") as file:
        fcntl.lockf(file, fcntl.LOCK_SH)
        fcntl.fcntl(file, fcntl.F_SETFD, fcntl.FD_CLOEXEC)


def _call(number: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, -1, 0, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), str(number))


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
    "owner": lambda pid: _own(fcntl.F_SETOWN, int(pid)),
    "owner's signal": lambda _: _own(_F_SETSIG, signal.SIGKILL),
    "owner by kind": lambda pid: _own(_F_SETOWN_EX, struct.pack("ii", _F_OWNER_PID, int(pid))),
    "owner of a socket": lambda pid: fcntl.ioctl(0, _FIOSETOWN, struct.pack("i", int(pid))),
    "group of a socket": lambda pid: fcntl.ioctl(0, _SIOCSPGRP, struct.pack("i", int(pid))),
    "type": lambda _: fcntl.ioctl(0, termios.TIOCSTI, b"!"),
    "type by hand": lambda _: fcntl.ioctl(0, termios.TIOCLINUX, b"\x03"),
    "limit": lambda pid: resource.prlimit(int(pid), resource.RLIMIT_NOFILE),
    "limit itself": lambda _: [resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in (0, os.getpid())],
    "lock": _lock,
    "process_madvise": lambda _: _call(440),
    "process_mrelease": lambda _: _call(448),
}
