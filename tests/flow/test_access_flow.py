"""A node on a network: TLS, a list of senders, a certificate that is renewed, and who was turned away."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from pacs import free_port

from tests.certificates import Authority
from tests.factories import L_CC, R_CC, STUDY_UID, write_exam
from tests.flow.running_node import PATIENCE_SECONDS, RunningNode
from tests.programs import find_program

_MORE = """
[intake.tls]
certificate = "{folder}/node.crt"
key = "{folder}/node.key"
ca = "{folder}/ca.crt"
[web]
port = {web_port}
tls = {{ certificate = "{folder}/node.crt", key = "{folder}/node.key" }}
[[sender]]
ae_title = "MG1"
address = "127.0.0.1"
certificate_subject = "O = Clinic, CN = mg1"
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path / "authority")
    authority.issue("node", days=10)
    for name in ("mg1", "mg2"):
        authority.issue(name)
    return authority


def keys(authority: Authority, name: str) -> tuple[str, ...]:
    folder = authority.certificate.parent
    return ("+tls", f"{folder}/{name}.key", f"{folder}/{name}.crt", "+cf", str(authority.certificate))


def echo(node: RunningNode, *options: str) -> str:
    command = [find_program("echoscu"), *options, "-aet", "MG1", "-aec", "DIBMG", "127.0.0.1", str(node.port)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    ).stderr


def serial_shown(port: int) -> int:
    """Serial number of the certificate that a port shows to who has none himself."""
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def test_a_node_over_tls_from_the_handshake_to_the_renewal(
    make_node: Callable[..., RunningNode], authority: Authority, tmp_path: Path
) -> None:
    folder = authority.certificate.parent
    web_port = free_port()
    node = make_node({}, more=_MORE.format(folder=folder, web_port=web_port)).start()

    node.send(write_exam(tmp_path / "exam", views=(R_CC, L_CC)), *keys(authority, "mg1"))
    told = [echo(node), echo(node, *keys(authority, "mg2"))]
    stored = node.views.study(STUDY_UID)

    assert stored is not None
    assert len(stored["instances"]) == 2
    assert "Calling AE Title Not Recognized" in told[1]

    status = wait_for(lambda: node.cli_json("status"), lambda found: len(found["rejected"]) == 2)
    assert {one["reason"] for one in status["rejected"]} == {
        "TLS handshake failed: wrong version number",
        "calling AE title not recognized: its [[sender]] has another certificate_subject than "
        "O=Clinic,CN=mg2",
    }
    assert status["intake"]["client_certificates"]
    assert not status["intake"]["insecure"]
    assert any("intake.tls.certificate: expires on" in reason for reason in status["reasons"])

    before = {serial_shown(port) for port in (node.port, web_port)}
    certificate, _ = authority.issue("node")
    new = x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number
    assert node.process is not None
    os.kill(node.process.pid, signal.SIGHUP)
    for port in (node.port, web_port):
        wait_for(partial(serial_shown, port), lambda serial: bool(serial == new))

    assert new not in before
    assert "rror" not in echo(node, *keys(authority, "mg1"))
    assert node.stop() == 0


def wait_for(look: Callable[[], Any], until: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not until(found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not come to hold: {found}")
        time.sleep(0.1)
    return found


def test_a_node_that_is_to_renew_its_certificates_while_it_comes_up_comes_up(tmp_path: Path) -> None:
    node, up = RunningNode(tmp_path, {}), threading.Event()

    def ask() -> None:
        while not up.wait(0.02):
            if node.process is not None and outlives_hangups(node.process.pid):
                os.kill(node.process.pid, signal.SIGHUP)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        node.start()
    finally:
        up.set()
        asking.join()

    assert node.stop() == 0


def outlives_hangups(pid: int) -> bool:
    """Whether SIGHUP is ignored or handled: until the program's first lines have run it ends a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    masks = re.findall(r"^Sig(?:Ign|Cgt):\s+([0-9a-f]+)$", status, re.MULTILINE)
    return any(int(mask, 16) >> (signal.SIGHUP - 1) & 1 for mask in masks)
