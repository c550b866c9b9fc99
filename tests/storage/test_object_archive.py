"""An archive in a real S3-compatible storage, seen from two machines."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from dibmg_node.storage.object_archive import ObjectArchive
from dibmg_node.storage.objects import ObjectStore
from tests.object_storage import BUCKET, ObjectStorage, running_object_storage

Make = Callable[..., ObjectArchive]
HOURS_AGO = time.time() - 7200


@dataclass(frozen=True, kw_only=True)
class Crowded(ObjectArchive):
    """An archive of whose cache another process removes the first copy of a result right away."""

    gone: list[Path] = field(default_factory=list)

    def _here(self, path: Path) -> Path:
        path = super()._here(path)
        if not self.gone:
            path.unlink()
            self.gone.append(path)
        return path


@dataclass(frozen=True)
class SeesNothing(ObjectStore):
    """A storage that another program writes to right after it was looked at."""

    def exists(self, key: str) -> bool:
        return False


@pytest.fixture
def storage() -> Iterator[ObjectStorage]:
    with running_object_storage() as storage:
        yield storage


@pytest.fixture
def make(storage: ObjectStorage, tmp_path: Path) -> Make:
    """Archives of machines with a folder of their own."""

    def make(machine: str, cache_bytes: int = 2**30) -> ObjectArchive:
        archive = ObjectArchive(tmp_path / machine, objects=storage.store(), cache_bytes=cache_bytes)
        archive.prepare()
        return archive

    return make


def keep(archive: ObjectArchive, sop_uid: str, content: bytes = b"an image") -> None:
    with archive.open_spool(content) as spooled:
        spooled.sync()
        archive.keep(spooled, sop_uid)


def test_what_one_machine_keeps_another_reads(make: Make) -> None:
    keep(make("a"), "1.2.3")

    there = make("b")

    assert there.has_instance("1.2.3")
    assert there.instance("1.2.3").read_bytes() == b"an image"
    assert not there.has_instance("1.2.4")


def test_what_is_kept_is_in_the_storage_before_anybody_is_told(make: Make, storage: ObjectStorage) -> None:
    archive = make("a")
    with archive.open_spool(b"an image") as spooled:
        spooled.sync()
        storage.server.stop()

        with pytest.raises(OSError, match="the object storage does not answer"):
            archive.keep(spooled, "1.2.3")

    assert not archive.instance_path("1.2.3").exists()
    storage.server.start()


def test_an_instance_that_is_nowhere_is_not_found(make: Make) -> None:
    with pytest.raises(FileNotFoundError):
        make("a").instance("1.2.3")


def test_an_object_that_somebody_changed_is_not_read(make: Make, storage: ObjectStorage) -> None:
    archive = make("a")
    keep(archive, "1.2.3")
    key = f"node/{archive.instance_path('1.2.3').relative_to(archive.root)}"
    found = storage.client().head_object(Bucket=BUCKET, Key=key)  # type: ignore[attr-defined]
    storage.client().put_object(  # type: ignore[attr-defined]
        Bucket=BUCKET, Key=key, Body=b"another image", Metadata=found["Metadata"]
    )

    with pytest.raises(OSError, match="expected"):
        make("b").instance("1.2.3")
    assert list((make("b").root / "drafts").iterdir()) == []


def test_a_result_is_written_once_whoever_writes_it(make: Make) -> None:
    first = make("a").put_result("2.25.1", b"first")

    second = make("b").put_result("2.25.1", b"second")

    assert second == first
    assert make("c").result("2.25.1").read_bytes() == b"first"


def test_a_result_of_this_machine_that_never_came_to_the_storage_does_not_count(make: Make) -> None:
    killed = make("a")
    path = killed.result_path("2.25.1")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"written, and not sent")
    first = make("b").put_result("2.25.1", b"first")

    assert killed.put_result("2.25.1", b"second") == first
    assert killed.result("2.25.1").read_bytes() == b"first"


def test_what_is_purged_is_gone_from_the_storage(make: Make) -> None:
    archive = make("a")
    keep(archive, "1.2.3")
    archive.put_result("2.25.1", b"a result")

    freed = archive.remove(["1.2.3", "9.9.9"], ["2.25.1"])

    assert freed == len(b"an image") + len(b"a result")
    assert not make("b").has_instance("1.2.3")
    assert not make("b").has_result("2.25.1")


def test_the_inventory_is_that_of_the_storage(make: Make) -> None:
    keep(make("a"), "1.2.3")
    keep(make("b"), "1.2.4")
    there = make("c")

    assert set(there.files("instances")) == {there.instance_path(uid).stem for uid in ("1.2.3", "1.2.4")}
    assert there.files("results") == {}


def copies(archive: ObjectArchive) -> list[Path]:
    return list((archive.root / "instances").glob("??/*.dcm"))


def test_the_cache_stays_as_small_as_it_may_be(make: Make) -> None:
    archive = make("a", cache_bytes=10)
    for number in range(64):
        keep(archive, f"1.2.{number}")
    for path in copies(archive):
        os.utime(path, (HOURS_AGO, HOURS_AGO))

    keep(archive, "1.2.64")

    assert len(copies(archive)) == 2  # one that fits, and the one that came after the look
    assert archive.instance("1.2.0").read_bytes() == b"an image"


def test_what_was_handed_out_lately_stays_in_the_cache_whatever_its_size(make: Make) -> None:
    archive = make("a", cache_bytes=10)
    for number in range(64):
        keep(archive, f"1.2.{number}")
    for path in copies(archive):
        os.utime(path, (HOURS_AGO, HOURS_AGO))
    handed_out = [archive.instance(f"1.2.{number}") for number in range(4)]

    keep(archive, "1.2.64")

    assert set(copies(archive)) == {*handed_out, archive.instance_path("1.2.64")}


def test_a_result_whose_copy_goes_while_it_is_read_is_that_of_the_storage(make: Make) -> None:
    archive = make("a")
    first = archive.put_result("2.25.1", b"first")
    crowded = Crowded(archive.root, objects=archive.objects, cache_bytes=0)

    read = replace(crowded, gone=[]).read_result("2.25.1")
    put = crowded.put_result("2.25.1", b"second")

    assert (read, put) == (b"first", first)
    assert make("b").result("2.25.1").read_bytes() == b"first"


def test_of_two_first_starts_in_one_moment_one_gives_the_identity(make: Make) -> None:
    first, second = make("a"), make("b")
    late = replace(second, objects=SeesNothing(second.objects.system, second.objects.prefix))
    given = first.give_identity()

    assert late.give_identity("another") == given
    assert first.identity() == given


def test_a_storage_that_does_not_answer_is_not_there(make: Make, storage: ObjectStorage) -> None:
    archive = make("a")
    given = archive.give_identity()
    before = archive.is_there(given)
    storage.server.stop()

    assert (before, archive.is_there(given)) == (True, False)


def test_all_machines_see_one_identity(make: Make) -> None:
    before = make("a").identity()

    given = make("a").give_identity()

    assert before is None
    assert make("b").identity() == given
    assert make("b").give_identity("another") == given


def test_the_name_of_what_nobody_was_told_of_is_forgotten(make: Make) -> None:
    archive = make("a")
    with archive.open_spool(b"an image") as spooled:
        spooled.sync()
        archive.keep(spooled, "1.2.3")

        assert archive.forget(spooled.path, "1.2.3")

    assert not make("b").has_instance("1.2.3")
