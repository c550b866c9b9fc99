"""A disk that is full, for real: a small file system under the data folder."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dibmg_node.dicom.part10 import data_set_offset
from dibmg_node.wiring import foundation
from tests.factories import R_CC, data_set_bytes, mammogram
from tests.faults.hostile_peers import stores
from tests.faults.receiving_processes import ReceivingProcesses

MEGABYTE = 1_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def an_image(number: int, size: int) -> tuple[str, bytes]:
    """UID and data set of one image of a study of its own."""
    uid = f"1.2.80.{number}.1"
    image = mammogram(R_CC, study_uid=f"1.2.80.{number}", SOPInstanceUID=uid, PixelData=b"\1" * size)
    return uid, data_set_bytes(image)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("size", [4 * MEGABYTE, 2000], ids=["images", "ledger"])
def test_a_full_disk_is_a_failure_to_try_again_and_loses_nothing(
    small_disk: Path, tmp_path: Path, size: int
) -> None:
    filler = small_disk / "filler"
    with ReceivingProcesses(tmp_path / "node", data_dir=small_disk / "var") as node:
        stored = {}
        room = os.statvfs(small_disk)
        filler.write_bytes(bytes(room.f_bavail * room.f_frsize - 3 * size - 100_000))
        answer, number = "0x0000", 0
        while answer == "0x0000" and number < 1000:
            uid, content = an_image(number, size)
            answer = str(stores(content, uid)(node))
            if answer == "0x0000":
                stored[uid] = content
            number += 1
        again = stores(content, uid)(node)
        filler.unlink()
        with_room = stores(content, uid)(node)
        stored[uid] = content

        archive = foundation.open_archive(node.settings)
        kept = {one: archive.instance_path(one).read_bytes() for one in stored}

    assert len(stored) > 1
    assert (answer, again, with_room) == ("0xA700", "0xA700", "0x0000")
    assert {one: whole[data_set_offset(whole) :] for one, whole in kept.items()} == stored
