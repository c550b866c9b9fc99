"""What the sandbox's child does in the tests; imports little, for every child imports it."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from dibmg_node.errors import (
    ConfigError,
    InstanceRejectedError,
    LedgerConflictError,
    PeerUnavailableError,
    StorageFullError,
    WeightsError,
)

CANARY = "Kanarienvogel^Erika"

ERRORS: dict[str, Exception] = {
    "weights": WeightsError("sha256 differs"),
    "rejected": InstanceRejectedError(0xC000, "what", 0x00080018),
    "config": ConfigError(["a: b", "c: d"]),
    "conflict": LedgerConflictError("moved on"),
    "full": StorageFullError("no room"),
    "peer": PeerUnavailableError("gone"),
    "disk": OSError(5, "Input/output error", f"/{CANARY}"),
    "unexpected": ValueError(f"cannot parse {CANARY}"),
    "recursion": RecursionError("too deep"),
}


class Evil:
    """Whoever unpickles this makes a folder."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.path,)


kept: list[bytearray] = []
"""Lives on after an order."""


def prepare() -> None:
    """Nothing to prepare."""


def build() -> Callable[[str], object]:
    return work


def work(order: str) -> object:
    if order == "pid":
        return os.getpid()
    if order == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "exit":
        os._exit(7)
    if order == "crash":
        ctypes.string_at(0)
    if order == "nap":
        time.sleep(2.5)
    if order == "hang":
        time.sleep(600)
    if order == "stall":
        pipe = next(one for one in gc.get_objects() if isinstance(one, Connection) and one.writable)
        os.write(pipe.fileno(), (1000).to_bytes(4, "big") + b"half an answer")
        time.sleep(600)
    if order == "spin":
        while True:
            pass
    if order == "blow":
        return len(bytes(1) * 2**30)
    if order == "fill":
        pieces = [bytearray(64 * 1024) for _ in range(4096)]
        kept.append(
            bytearray(64 * 1024)
        )  # above them in memory: they are no end that the heap loses by itself
        return sum(map(len, pieces))
    if order == "unpicklable":
        return lambda: None
    if order.startswith("evil "):
        return Evil(order.removeprefix("evil "))
    if order in ERRORS:
        raise ERRORS[order]
    return order.upper()


def build_nothing() -> Callable[[str], object]:
    raise WeightsError("no weights")


def build_death() -> Callable[[str], object]:
    os._exit(3)


def slow_prepare() -> None:
    time.sleep(1.2)
