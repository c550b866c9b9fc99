"""Web servers to send to: one that answers as a test tells it, and one that speaks raw bytes."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import FileDataset


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def files(self) -> list[FileDataset]:
        """Its DICOM files, taken apart by another library than ours."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        message = message_from_bytes(head + self.body)
        assert message.get_content_type() == "multipart/related"
        assert message.get_param("type") == "application/dicom"
        parts: list[Any] = message.get_payload()  # type: ignore[assignment]
        assert {part.get_content_type() for part in parts} == {"application/dicom"}
        return [dcmread(BytesIO(part.get_payload(decode=True))) for part in parts]

    @property
    def sop_uids(self) -> list[str]:
        """SOP Instance UIDs, in the order of the request."""
        return [str(one.SOPInstanceUID) for one in self.files]


@dataclass(frozen=True)
class Told:
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Script = Callable[[Asked], Told]


def item(uid: str, reason_tag: str = "", reason: int | None = None) -> dict[str, Any]:
    """An item of a Referenced or Failed SOP Sequence in DICOM JSON."""
    made: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    if reason is not None:
        made[reason_tag] = {"vr": "US", "Value": [reason]}
    return made


def store_answer(
    stored: Sequence[str] = (),
    failed: Mapping[str, int | None] = {},
    warned: Mapping[str, int] = {},
    status: int = 200,
    **headers: str,
) -> Told:
    """A Store Instances Response in DICOM JSON."""
    referenced = [item(uid) for uid in stored] + [item(u, "00081196", w) for u, w in warned.items()]
    content: dict[str, Any] = {"00081190": {"vr": "UR", "Value": ["http://pacs/studies/1.2.3"]}}
    if referenced:
        content["00081199"] = {"vr": "SQ", "Value": referenced}
    if failed:
        content["00081198"] = {"vr": "SQ", "Value": [item(u, "00081197", r) for u, r in failed.items()]}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Told(status, json.dumps(content).encode(), {"Content-Type": "application/dicom+json"} | named)


def store_all(asked: Asked) -> Told:
    """A server that stores everything, and is asked for a study that it does not have."""
    if asked.method == "GET":
        return Told(200, b"[]", {"Content-Type": "application/dicom+json"})
    return store_answer(asked.sop_uids)


class WebPeer:
    """A server on a free port that answers by a script.

    Attributes:
        asked: Every request, in order.
        url: Of its DICOMweb service.
    """

    def __init__(self, script: Script = store_all, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self._script = script
        self._tls = tls
        self.url = ""
        self.port = 0

    @contextmanager
    def running(self) -> Iterator[WebPeer]:
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, body)
                peer.asked.append(asked)
                told = peer._script(asked)
                self.send_response(told.status)
                for name, value in {"Content-Length": str(len(told.body)), **told.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(OSError):  # a client that has read enough
                    self.wfile.write(told.body)

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request: Any, address: Any) -> None:
                with suppress(OSError):  # a handshake that fails is the client's affair
                    if peer._tls:
                        request = peer._tls.wrap_socket(request, server_side=True)
                    super().finish_request(request, address)
                    request.close()

        server = Server(("127.0.0.1", 0), Handler)
        self.port = server.server_address[1]
        self.url = f"{'https' if self._tls else 'http'}://localhost:{self.port}/dicom-web"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@contextmanager
def raw_peer(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does with its one connection what a test says; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join()


def openssl(folder: Path, *command: str) -> None:
    """OpenSSL's program."""
    subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)


def make_certificates(folder: Path) -> Path:
    """Two authorities, a server's certificate for localhost by each, an expired one, and a client's."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout")
    for ca in ("ca", "other-ca"):
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        subject = ("-days", "2", "-subj", f"/CN=test {ca}")
        openssl(folder, "req", "-x509", *key, f"{ca}.key", "-out", f"{ca}.pem", *subject, *usage)
    (folder / "server.ext").write_text("subjectAltName=DNS:localhost\nauthorityKeyIdentifier=keyid\n")
    (folder / "elsewhere.ext").write_text("subjectAltName=DNS:pacs.example\nauthorityKeyIdentifier=keyid\n")
    (folder / "client.ext").write_text("extendedKeyUsage=clientAuth\nauthorityKeyIdentifier=keyid\n")
    for name, ca, extension in (
        ("server", "ca", "server"),
        ("elsewhere", "ca", "elsewhere"),
        ("client", "ca", "client"),
        ("stranger", "other-ca", "client"),
    ):
        openssl(folder, "req", *key, f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        issuer = ("-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", "2")
        openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", *issuer, "-extfile", f"{extension}.ext",
            "-out", f"{name}.pem",
        )  # fmt: skip
    return folder


def server_tls(certificates: Path, name: str = "server", *, asks: bool = False) -> ssl.SSLContext:
    """A server's side of TLS; one that asks for a certificate takes those of `ca` alone."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    context.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
    return context
