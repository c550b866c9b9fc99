"""Who receives: the node's intake, DCMTK, Orthanc, and the limit of sockets and disk."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Protocol

from pacs import Orthanc, free_port

from tests.faults.receiving_processes import ReceivingProcesses
from tests.programs import find_program


class Receiver(Protocol):
    """A storage SCP in a process of its own, which runs from `__enter__` to `__exit__`."""

    called: str

    @property
    def port(self) -> int:
        """Where it listens."""

    def pid(self) -> int:
        """Its process; it and all below it are counted."""

    def forget(self) -> None:
        """Remove what it has received, outside of what is timed."""

    def __enter__(self) -> Receiver: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Node(ReceivingProcesses):
    """The node's intake with all that belongs to it: ledger, fsync, CRC-32, audit trail."""

    called = "DIBMG"

    def __enter__(self) -> Node:
        """Start."""
        super().__enter__()
        return self

    def forget(self) -> None:
        """What it has received stays: the ledger knows of it, and a study sent again is another one."""


class Program:
    """A receiver that is one command and keeps files in one folder."""

    called = "ANY"

    def __init__(self, folder: Path, command: list[str], port: int) -> None:
        self.port = port
        self._command = command
        self.folder = folder

    def __enter__(self) -> Program:
        self.folder.mkdir(parents=True)
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        _wait_for(self.port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(60)
        shutil.rmtree(self.folder)

    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def forget(self) -> None:
        """Remove what it has received."""
        for path in self.folder.iterdir():
            path.unlink()


def dcmtk(folder: Path) -> Program:
    """DCMTK's storescp: a process for each association, files as they came, no fsync."""
    port = free_port()
    command = [find_program("storescp"), "--fork", "+B", "-pdu", "131072", "-od", str(folder), str(port)]
    return Program(folder, command, port)


def limit(folder: Path) -> Program:
    """The bytes of the PDUs into a file and fsync, and an answer; nothing of DICOM is understood."""
    port = free_port()
    return Program(folder, [sys.executable, "-m", "benchmarks.limit", str(folder), str(port)], port)


class OrthancReceiver(Orthanc):
    """Orthanc as Debian ships it."""

    called = "ANY"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, find_program("Orthanc"), {"OverwriteInstances": False})

    def __enter__(self) -> OrthancReceiver:
        super().__enter__()
        return self

    def pid(self) -> int:
        """Its process."""
        assert self.process is not None
        return self.process.pid

    def forget(self) -> None:
        """Remove what it has received."""
        for identifier in json.loads(self.ask("/studies")):
            url = f"http://127.0.0.1:{self.http}/studies/{identifier}"
            with urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=60):
                pass


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
