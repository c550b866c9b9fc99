from __future__ import annotations

import errno
import re
import resource
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from dibmg_node.errors import StorageFullError
from dibmg_node.storage.archive import Archive


def spool_files(archive: Archive) -> list[Path]:
    return list((archive.root / "spool").iterdir())


def test_a_kept_file_is_prefix_and_data_set(archive: Archive) -> None:
    with archive.open_spool(b"prefix") as spooled:
        spooled.write(b"one ")
        spooled.write(memoryview(b"two"))
        spooled.sync()
        path = archive.keep(spooled, "1.2.3")

    assert path.read_bytes() == b"prefixone two"
    assert path == archive.instance_path("1.2.3")
    assert (spooled.size, spooled.crc32) == (7, zlib.crc32(b"one two"))
    assert spool_files(archive) == []


def test_more_chunks_than_one_system_call_takes_are_written_in_order(archive: Archive) -> None:
    chunks = [bytes([n % 251]) * (n % 7) for n in range(3000)]
    with archive.open_spool(b"prefix") as spooled:
        spooled.write(*chunks)
        spooled.sync()
        path = archive.keep(spooled, "1.2.3")

    content = b"".join(chunks)
    assert path.read_bytes() == b"prefix" + content
    assert (spooled.size, spooled.crc32) == (len(content), zlib.crc32(content))


GROWING = """
import sys
from pathlib import Path
from dibmg_node.storage.archive import SpoolFile
with SpoolFile(Path(sys.argv[1]), b"") as spooled:
    for _ in range(9):
        spooled.write(bytes(2**20))
    spooled.sync()
"""


def test_the_disk_begins_with_a_file_that_still_grows_and_is_waited_for_at_its_end(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    strace = ["strace", "-y", "-e", "trace=sync_file_range,fsync", "-o", trace]

    subprocess.run([*strace, sys.executable, "-c", GROWING, tmp_path / "grown"], check=True)

    calls = re.findall(
        r"(\w+)\(\d+<.*/grown>(?:, (\d+), (\d+), SYNC_FILE_RANGE_WRITE)?\) += 0", trace.read_text()
    )
    begun = [("sync_file_range", str(at * 2**20), str(4 * 2**20)) for at in (0, 4)]
    assert calls == [*begun, ("fsync", "", "")]


def test_a_spool_file_that_is_not_kept_leaves_nothing(archive: Archive) -> None:
    with archive.open_spool(b"prefix") as spooled:
        spooled.write(b"bytes")

    assert spool_files(archive) == []


@pytest.mark.parametrize("uid", ["../../etc/passwd", "/etc/passwd", "1.2\0.3", "", "1" * 5000, "..", "ä"])
def test_no_uid_is_a_path(archive: Archive, uid: str) -> None:
    for path in (archive.instance_path(uid), archive.result_path(uid)):
        assert path.parent.parent.parent == archive.root
        assert path.name.removesuffix(".dcm").isalnum()


def test_instances_and_results_of_one_uid_are_two_files(archive: Archive) -> None:
    assert archive.instance_path("1.2") != archive.result_path("1.2")


def test_a_file_left_by_a_killed_intake_is_replaced(archive: Archive) -> None:
    for content in (b"half", b"whole"):
        with archive.open_spool(b"") as spooled:
            spooled.write(content)
            spooled.sync()
            path = archive.keep(spooled, "1.2.3")

    assert path.read_bytes() == b"whole"


def test_a_spool_file_keeps_its_entry_until_it_is_discarded(archive: Archive) -> None:
    spooled = archive.open_spool(b"")
    spooled.sync()

    path = archive.keep(spooled, "1.2.3")

    assert [left.samefile(path) for left in archive.left_in_spool()] == [True]
    spooled.discard()
    assert (archive.left_in_spool(), path.exists()) == ([], True)


def test_a_spool_file_takes_the_place_of_an_earlier_one_of_its_instance(archive: Archive) -> None:
    for content in (b"first", b"second"):
        with_name = archive.open_spool(content)
        with_name.sync()
        path = archive.keep(with_name, "1.2.3")

    (left,) = archive.left_in_spool()
    assert (left, left.samefile(path), left.read_bytes()) == (with_name.path, True, b"second")


def test_a_name_without_a_ledger_entry_can_be_forgotten_but_not_by_another_file(archive: Archive) -> None:
    first, second = archive.open_spool(b"first"), archive.open_spool(b"second")
    for spooled in (first, second):
        spooled.sync()
    path = archive.keep(first, "1.2.3")

    assert archive.forget(second.path, "1.2.3") is False
    assert path.exists()
    assert archive.forget(first.path, "1.2.3") is True
    assert not path.exists()


def test_an_abandoned_file_stays_for_the_next_start_only_where_it_has_a_name(archive: Archive) -> None:
    named, nameless = archive.open_spool(b""), archive.open_spool(b"")
    for spooled in (named, nameless):
        spooled.sync()
    archive.keep(named, "1.2.3")

    for spooled in (named, nameless):
        spooled.abandon()

    assert archive.left_in_spool() == [named.path]


def test_half_written_results_are_cleared_without_touching_what_intake_receives(archive: Archive) -> None:
    archive.open_spool(b"received").sync()
    (archive.root / "drafts" / "half").write_bytes(b"result")

    archive.clear_drafts()

    assert list((archive.root / "drafts").iterdir()) == []
    assert len(archive.left_in_spool()) == 1


def test_quarantined_bytes_are_kept_once_however_often_they_come(archive: Archive) -> None:
    for content in (b"other", b"other", b"third"):
        with archive.open_spool(b"") as spooled:
            spooled.write(content)
            spooled.sync()
            archive.quarantine(spooled, "1.2.3")

    contents = sorted(path.read_bytes() for path in (archive.root / "quarantine").iterdir())
    assert contents == [b"other", b"third"]
    assert not archive.instance_path("1.2.3").exists()


def test_a_result_is_written_once(archive: Archive) -> None:
    first = archive.put_result("2.25.1", b"first")
    second = archive.put_result("2.25.1", b"second")

    assert first == second == sha256(b"first").hexdigest()
    assert archive.result_path("2.25.1").read_bytes() == b"first"
    assert spool_files(archive) == []


def test_an_empty_folder_in_its_place_is_not_the_archive(archive: Archive) -> None:
    given = archive.give_identity()
    before = archive.is_there(given), archive.is_there("another"), archive.is_there(None)
    archive.root.rename(archive.root.with_name("away"))
    archive.root.mkdir()

    assert before == (True, False, True)
    assert not archive.is_there(given)


def test_free_bytes_are_those_of_the_file_system(archive: Archive) -> None:
    assert 0 < archive.free_bytes() < 2**60


def _limit_to(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


FILL = """
import signal, sys
from pathlib import Path
from dibmg_node.storage.archive import Archive
from dibmg_node.errors import StorageFullError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
archive = Archive(Path(sys.argv[1]))
try:
    if sys.argv[2] == "prefix":
        archive.open_spool(b"x" * 5000)
    elif sys.argv[2] == "data":
        with archive.open_spool(b"x") as spooled:
            spooled.write(b"y" * 5000)
    else:
        archive.put_result("2.25.1", b"z" * 5000)
except StorageFullError as error:
    print(type(error.__cause__).__name__, len(list((archive.root / "spool").iterdir())))
"""


@pytest.mark.parametrize("where", ["prefix", "data", "result"])
def test_a_full_disk_is_a_storage_full_error_and_leaves_no_file(archive: Archive, where: str) -> None:
    """A limit on file size stands in for the full disk: the kernel says EFBIG for ENOSPC."""
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(archive.root), where],
        preexec_fn=_limit_to(4096),
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["OSError", "0"]
    assert not archive.result_path("2.25.1").exists()


def test_enospc_is_a_storage_full_error(archive: Archive) -> None:
    path = archive.root / "spool" / "full"
    path.symlink_to("/dev/full")
    with path.open("wb", buffering=0) as full, pytest.raises(OSError) as caught:
        full.write(b"x")
    assert caught.value.errno == errno.ENOSPC

    with archive.open_spool(b"") as spooled:
        spooled._file.close()
        spooled._file = path.open("wb", buffering=0)
        with pytest.raises(StorageFullError, match="no room"):
            spooled.write(b"x")


def test_another_error_of_the_disk_is_itself(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Archive(tmp_path / "missing").open_spool(b"")


HOLD = """
import sys
from pathlib import Path
from dibmg_node.storage.archive import Archive
with Archive(Path(sys.argv[1])).held(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_an_instance_that_one_process_names_is_not_named_by_another_until_that_ends(archive: Archive) -> None:
    command = [sys.executable, "-c", HOLD, str(archive.root), "1.2.3"]
    named = threading.Event()

    def name() -> None:
        with archive.held("1.2.3"):
            named.set()

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        thread = threading.Thread(target=name)
        thread.start()
        waited = not named.wait(0.2)
        other.kill()
        thread.join(30)

    assert (waited, named.is_set()) == (True, True)
