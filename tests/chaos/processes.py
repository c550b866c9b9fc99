"""The node, its parts and the PACS as processes: found to be killed, and started again as an init would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Final, Protocol, TypeVar

from pacs import Orthanc, free_port
from pydicom import dcmread

from tests.flow.running_node import RunningNode
from tests.programs import find_program

_Look = TypeVar("_Look")

_RESTART_SECONDS: Final = 0.5
_ORPHAN_SECONDS: Final = 10
_TICK_SECONDS: Final = 0.05
_DELAY_SECONDS: Final = 4.0


class Victim(StrEnum):
    """What is killed."""

    INTAKE = "intake"
    ANALYSIS = "analysis"
    MODEL = "model"
    SWEEP = "sweep"
    BROKER = "broker"
    DELIVERY = "delivery"
    NODE = "node"
    PACS = "pacs"


_MARKS: Final = {
    Victim.INTAKE: b"run\0intake\0",
    Victim.ANALYSIS: b"run\0analysis\0",
    Victim.SWEEP: b"run\0sweep\0",
    Victim.DELIVERY: b"run\0delivery\0",
    Victim.BROKER: b"broker.sock",
}
_MODEL_MARK: Final = b"--multiprocessing-fork"


class Peer(Protocol):
    """A PACS that can be killed, and looked into at the end."""

    port: int
    refuses: bool
    """Whether it refuses reports of the patients of that kind."""

    def pid(self) -> int | None:
        """Its process; None while it does not run."""

    def start(self) -> None:
        """Start it where it does not run; return when it listens."""

    def stop(self) -> None:
        """End it."""

    def wait(self) -> None:
        """Return when it has ended."""

    def held(self) -> dict[str, list[bytes]]:
        """Part 10 files that it got, by SOP Instance UID: every content that came under it."""


class RecordingPacs:
    """`tests.chaos.recorder` in a process of its own, on one port for all its lives."""

    refuses = True

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None

    def pid(self) -> int | None:
        """Its process; None while it does not run."""
        return _running(self._process)

    def start(self) -> None:
        """Start it; return when it listens."""
        command = [sys.executable, "-m", "tests.chaos.recorder", str(self.folder), str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()  # empty where it was killed before it listened

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def held(self) -> dict[str, list[bytes]]:
        """What it got: every content under a UID."""
        contents: dict[str, list[bytes]] = {}
        for path in sorted(self.folder.glob("*.dcm")):
            contents.setdefault(path.name.partition("-")[0], []).append(path.read_bytes())
        return contents

    def wait(self) -> None:
        """Return when it has ended."""
        assert self._process is not None
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class OrthancPacs:
    """A real Orthanc, on one port and one database for all its lives."""

    refuses = False

    def __init__(self, folder: Path) -> None:
        self._orthanc = Orthanc(folder, find_program("Orthanc"))
        self.port = self._orthanc.port

    def pid(self) -> int | None:
        """Its process; None while it does not run."""
        return _running(self._orthanc.process)

    def start(self) -> None:
        """Start it; return when it answers."""
        self._orthanc.__enter__()

    def stop(self) -> None:
        """End it."""
        self._orthanc.__exit__(None, None, None)

    def wait(self) -> None:
        """Return when it has ended."""
        assert self._orthanc.process is not None
        self._orthanc.process.wait()

    def held(self) -> dict[str, list[bytes]]:
        """What it holds; it keeps the first content under a UID."""
        contents: dict[str, list[bytes]] = {}
        for identifier in json.loads(self._orthanc.ask("/instances")):
            content = self._orthanc.ask(f"/instances/{identifier}/file")
            contents.setdefault(str(dcmread(BytesIO(content)).SOPInstanceUID), []).append(content)
        return contents


class KeptNode:
    """`dibmg up`, started again whenever it ends, as systemd or Docker do."""

    def __init__(self, node: RunningNode) -> None:
        self.node = node
        self.starts = 0
        self.failed_starts = 0
        """Starts that ended without `ready`: a part was killed while the node came up."""
        self.ready = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        """Start, and keep it running."""
        self._thread.start()

    def stop(self) -> int:
        """Drain the node for good; returns its exit code."""
        self._ending.set()
        code = self.node.stop()
        self._thread.join()
        return code

    def pid_of(self, victim: Victim) -> int | None:
        """Process of a part; None while it does not run."""
        node = _running(self.node.process)
        if victim is Victim.NODE or node is None:
            return node
        if victim is Victim.MODEL:
            analysis = self.pid_of(Victim.ANALYSIS)
            return None if analysis is None else _child_of(analysis, _MODEL_MARK)
        return _child_of(node, _MARKS[victim])

    def _keep(self) -> None:
        while not self._ending.is_set():
            self.starts += 1
            try:
                self.node.start()
                self.ready.set()
            except AssertionError:
                self.failed_starts += 1
            assert self.node.process is not None
            self.node.process.wait()
            assert self.node.process.stderr is not None
            self.node.process.stderr.close()
            self.ready.clear()
            self._ending.wait(_RESTART_SECONDS)


class Killer:
    """Kills at random moments, one part or two right after another, until it is told to end.

    Kills are paced by what was acknowledged, not by the clock: on a slow machine the node gets as far
    between two of them as on a fast one.
    """

    def __init__(self, kept: KeptNode, pacs: Peer, seed: int, every: float, count: Callable[[], int]) -> None:
        """Make one that does not kill yet.

        Args:
            kept: The node.
            pacs: The PACS.
            seed: Of victims and moments.
            every: Instances between two kills, in the mean.
            count: Instances acknowledged so far.
        """
        self.kills: dict[Victim, int] = dict.fromkeys(Victim, 0)
        self.orphans: list[str] = []
        """Processes that outlived their supervisor."""
        self._kept = kept
        self._pacs = pacs
        self._random = Random(f"killer {seed}")
        self._every = every
        self._count = count
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def total(self) -> int:
        """Kills so far."""
        return sum(self.kills.values())

    @property
    def is_alive(self) -> bool:
        """Whether it still kills."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Kill no more; the PACS runs when this returns."""
        self._ending.set()
        if self.is_alive:
            self._thread.join()

    def _run(self) -> None:
        due = 0.0
        while not self._ending.wait(_TICK_SECONDS):
            if self._count() < due:
                continue
            # the moment shall not hang together with that of an answer
            self._ending.wait(self._random.uniform(0.0, _DELAY_SECONDS))
            victims = self._random.sample(list(Victim), 2 if self._random.random() < 0.2 else 1)
            for victim in victims:
                self._kill(victim)
            due += len(victims) * self._random.uniform(0.0, 2 * self._every)

    def _kill(self, victim: Victim) -> None:
        absence = self._random.uniform(0.0, 4.0)
        pid = self._pacs.pid() if victim is Victim.PACS else self._kept.pid_of(victim)
        if pid is None:
            return  # it is just being started again
        family = _descendants(pid) if victim is Victim.NODE else {}
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.kills[victim] += 1
        if victim is Victim.PACS:
            self._pacs.wait()
            self._ending.wait(absence)
            self._pacs.start()
        for name in _still_there(family):
            self.orphans.append(name)


def _running(process: subprocess.Popen[str] | subprocess.Popen[bytes] | None) -> int | None:
    return None if process is None or process.poll() is not None else process.pid


def _still_there(family: dict[int, str]) -> list[str]:
    """Which of some processes do not end within some seconds."""
    deadline = time.monotonic() + _ORPHAN_SECONDS
    left = family
    while left and time.monotonic() < deadline:
        left = {pid: name for pid, name in left.items() if _command(pid) == name}
        time.sleep(0.05)
    return list(left.values())


def _child_of(pid: int, mark: bytes) -> int | None:
    for child in _children(pid):
        if mark in _command(child).encode():
            return child
    return None


def _descendants(pid: int) -> dict[int, str]:
    """Every process below one, with its command; those that have ended and wait to be reaped have none."""
    found = {}
    for child in _children(pid):
        if command := _command(child):
            found[child] = command
            found |= _descendants(child)
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for task in _quietly(lambda: list(Path(f"/proc/{pid}/task").iterdir())) or []:
        text = _quietly((task / "children").read_text)
        children += map(int, (text or "").split())
    return children


def _command(pid: int) -> str:
    """The command line of a process, arguments separated by NUL; empty where it has ended."""
    return _quietly(Path(f"/proc/{pid}/cmdline").read_text) or ""


def _quietly(look: Callable[[], _Look]) -> _Look | None:
    try:
        return look()
    except OSError:
        return None
