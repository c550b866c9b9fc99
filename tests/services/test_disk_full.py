"""A small file system of its own that fills up: what senders hear, what is ready, and that it passes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from starlette.testclient import TestClient

from dibmg_node.dicom import facts
from dibmg_node.services.acceptor import Acceptor
from dibmg_node.services.intake import Intake
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from tests.factories import Clock, mammogram, new_ledger, part10
from tests.services.test_intake import POLICY, files_under
from tests.services.wire_peers import SETTINGS
from tests.web.conftest import WebSide
from tests.web.multipart import body_of, content_type

SUDO = [] if os.getuid() == 0 else ["sudo", "--non-interactive"]
MIB = 2**20
RESERVE = 4 * MIB


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A mounted file system of 16 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    options = f"size=16m,uid={os.getuid()},gid={os.getgid()}"
    subprocess.run([*SUDO, "mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*SUDO, "umount", "--lazy", folder], check=True)


@pytest.fixture
def archive(small: Path) -> Archive:
    archive = Archive(small / "archive")
    archive.prepare()
    return archive


def fill(archive: Archive, leave: int) -> Path:
    """A file that leaves so many bytes of the file system."""
    ballast = archive.root / "ballast"
    ballast.write_bytes(bytes(archive.free_bytes() - leave))
    return ballast


@contextmanager
def receiving(archive: Archive, ledger: Ledger, clock: Clock, reserve: int) -> Iterator[int]:
    intake = Intake(archive, ledger.receipts, replace(POLICY, reserve_bytes=reserve), clock)
    acceptor = Acceptor(SETTINGS, admit=intake.admit, open_instance=intake.open_sent, ended=intake.ended)
    acceptor.start()
    try:
        yield acceptor.port
    finally:
        acceptor.stop(5)


def associate(port: int) -> Association:
    ae = AE("MG1")
    ae.add_requested_context(facts.MG_FOR_PRESENTATION, facts.EXPLICIT_LE)
    return ae.associate("127.0.0.1", port, ae_title="DIBMG")


def test_below_the_reserve_stores_hear_0xa700_and_new_associations_2_3_2_until_there_is_room(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    with receiving(archive, ledger, clock, RESERVE) as port:
        before = associate(port)
        good = before.send_c_store(mammogram(number=1))
        ballast = fill(archive, leave=RESERVE - 1)
        refused = before.send_c_store(mammogram(number=2))
        late = associate(port)
        rejection = late.acceptor.primitive
        ballast.unlink()
        after = before.send_c_store(mammogram(number=2))
        before.release()
        again = associate(port)
        again.release()

    assert (good.Status, refused.Status, after.Status) == (0x0000, 0xA700, 0x0000)
    assert refused.ErrorComment == "no room, or storage failed"
    assert late.is_rejected
    assert (rejection.result, rejection.result_source, rejection.diagnostic) == (2, 3, 2)
    assert again.is_released
    assert len(files_under(archive, "instances")) == 2


def test_a_disk_without_any_room_is_0xa700_and_leaves_nothing_behind(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    with receiving(archive, ledger, clock, reserve=0) as port:
        association = associate(port)
        ballast = fill(archive, leave=0)
        full = association.send_c_store(mammogram())
        left = files_under(archive, "spool") + files_under(archive, "instances")
        ballast.unlink()
        after = association.send_c_store(mammogram())
        association.release()

    assert (full.Status, left, after.Status) == (0xA700, [], 0x0000)


def test_below_the_reserve_stow_is_507_and_the_node_is_not_ready(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    client: TestClient = WebSide(archive, ledger, clock).client(reserve_bytes=RESERVE)
    body, headers = body_of([part10(mammogram())]), {"Content-Type": content_type()}

    def ask() -> tuple[int, int]:
        stored = client.post("/dicom-web/studies", content=body, headers=headers)
        return stored.status_code, client.get("/health/ready").status_code

    ballast = fill(archive, leave=RESERVE - 1)
    full = ask()
    ballast.unlink()

    assert (full, ask()) == ((507, 503), (200, 200))


def test_status_shows_how_full_the_disk_is_and_is_degraded_below_the_reserve(small: Path) -> None:
    new_ledger(small).engine.dispose()
    archive = Archive(small / "archive")
    archive.prepare()
    (small / "config.toml").write_text("[node]\ndata_dir = '.'\n[intake]\nreserve_gb = 0.004\n")
    fill(archive, leave=3 * MIB)

    command = [sys.executable, "-m", "dibmg_node", "status", "--json"]
    ended = subprocess.run(command, cwd=small, capture_output=True, text=True, timeout=120, check=False)

    told = json.loads(ended.stdout)
    assert "less disk is free than the reserve: nothing is received ('out of resources')" in told["reasons"]
    assert told["disk"]["used_percent"] == pytest.approx(100 * 13 / 16, abs=1)
