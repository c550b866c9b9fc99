"""A small PACS beside the node: a real Orthanc where it is installed, else pynetdicom's storage SCP."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol

from pydicom import dcmread
from pydicom.dataset import FileDataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.transport import ThreadedAssociationServer

from dibmg_node.dicom import facts

AE_TITLE = "DEMOPACS"


class Pacs(Protocol):
    """A destination that one can look into."""

    name: str
    port: int

    def instances(self, study_uid: str) -> list[FileDataset]:
        """What it holds of a study."""

    def __enter__(self) -> Pacs:
        """Start."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""


def open_pacs(folder: Path) -> Pacs:
    """Orthanc where it is installed, else a storage SCP."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    return Orthanc(folder, program) if program else StorageScp(folder)


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Orthanc:
    """A real PACS, with its own database below a folder.

    Attributes:
        port: Of DICOM.
        http: Of its web service.
        process: None before it was started.
    """

    def __init__(self, folder: Path, program: str, more: Mapping[str, object] = {}) -> None:
        """Make one that does not run yet.

        Args:
            folder: Its own.
            program: Its path.
            more: Further keys of its configuration.
        """
        self.name = "Orthanc"
        self.port = free_port()
        self.http = free_port()
        self._folder = folder
        self._program = program
        self._more = more
        self.process: subprocess.Popen[bytes] | None = None

    def instances(self, study_uid: str) -> list[FileDataset]:
        """What it holds of a study, read back over HTTP."""
        query = {"Level": "Instance", "Query": {"StudyInstanceUID": study_uid}}
        found = json.loads(self.ask("/tools/find", json.dumps(query).encode()))
        held = []
        for identifier in found:
            path = self._folder / f"{identifier}.dcm"
            if not path.exists():
                path.write_bytes(self.ask(f"/instances/{identifier}/file"))
            held.append(dcmread(path))
        return held

    def __enter__(self) -> Orthanc:
        self._folder.mkdir(parents=True, exist_ok=True)
        configuration = self._folder / "orthanc.json"
        configuration.write_text(
            json.dumps(
                {
                    "Name": "DEMO",
                    "StorageDirectory": str(self._folder / "db"),
                    "IndexDirectory": str(self._folder / "db"),
                    "HttpPort": self.http,
                    "HttpBindAddresses": ["127.0.0.1"],
                    "DicomPort": self.port,
                    "DicomAet": AE_TITLE,
                    "DicomCheckCalledAet": False,
                    "DicomAlwaysAllowStore": True,
                    "RemoteAccessAllowed": False,
                    "AuthenticationEnabled": False,
                    "UnknownSopClassAccepted": True,
                    **self._more,
                }
            )
        )
        with (self._folder / "orthanc.log").open("wb") as log:
            self.process = subprocess.Popen([self._program, configuration], stdout=log, stderr=log)
        for _ in range(300):
            try:
                self.ask("/system")
                return self
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"Orthanc does not answer; see {self._folder}/orthanc.log")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)

    def ask(self, path: str, body: bytes | None = None) -> bytes:
        """What its REST interface answers: to a GET, or with a body to a POST."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", body, timeout=30) as answer:
            content: bytes = answer.read()
            return content


class StorageScp:
    """pynetdicom's SCP, which keeps what it gets as files."""

    def __init__(self, folder: Path) -> None:
        self.name = "pynetdicom storage SCP"
        self.port = 0
        self._folder = folder
        self._server: ThreadedAssociationServer | None = None

    def instances(self, study_uid: str) -> list[FileDataset]:
        """What it holds of a study."""
        held = [dcmread(path) for path in sorted(self._folder.glob("*.dcm"))]
        return [instance for instance in held if study_uid == instance.StudyInstanceUID]

    def __enter__(self) -> StorageScp:
        self._folder.mkdir(parents=True, exist_ok=True)
        ae = AE(ae_title=AE_TITLE)
        ae.add_supported_context(facts.VERIFICATION)
        for sop_class in (facts.MAMMOGRAPHY_CAD_SR, facts.SECONDARY_CAPTURE):
            ae.add_supported_context(sop_class, ALL_TRANSFER_SYNTAXES)

        def store(event: evt.Event) -> int:
            part = self._folder / f"{event.file_meta.MediaStorageSOPInstanceUID}.part"
            part.write_bytes(event.encoded_dataset())
            part.rename(part.with_suffix(".dcm"))
            return 0x0000

        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
        self.port = self._server.server_address[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
