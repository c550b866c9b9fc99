"""The child that decodes and infers: what it cannot do, and what it costs when it goes wrong."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from dibmg_node.domain.study import STANDARD_VIEWS
from dibmg_node.machine.confinement import NETWORK_OPEN, Isolation, Limits
from dibmg_node.services.orders import ANSWER_CLASSES, Order, Report
from dibmg_node.services.sandbox import ChildDiedError, MemoryExceededError, Sandbox
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from tests.factories import STUDY_UID, Clock, mammogram
from tests.services import confined_work, sandbox_work
from tests.services.test_analysis import Station, nothing, work_here

WISHES = ("make", "append", "overwrite", "remove", "rename")
TO_OTHERS = (
    *("signal", "owner", "owner's signal", "owner by kind", "owner of a socket", "group of a socket"),
    *("type", "type by hand", "limit", "process_madvise", "process_mrelease"),
)
SMALL = 256 * 2**20


def quiet() -> None:
    """A tick that does nothing."""


@dataclass
class Surroundings:
    """What the child might reach for."""

    port: str
    file: str


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    file = tmp_path_factory.mktemp("archive") / "instance"
    file.write_bytes(b"image")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Surroundings(str(listener.getsockname()[1]), str(file))


@pytest.fixture(scope="module")
def confined() -> Iterator[Sandbox[tuple[str, str], str]]:
    sandbox = Sandbox(confined_work.build, confined_work.prepare, 60)
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="module")
def with_files() -> Iterator[Sandbox[tuple[str, str], str]]:
    """As on a GPU, whose driver opens its devices for writing."""
    sandbox = Sandbox(confined_work.build, confined_work.prepare, 60, Limits(files=True))
    yield sandbox
    sandbox.stop()


@pytest.mark.parametrize("what", ["connect", "thread connect", "native", "thread native"])
def test_the_child_reaches_no_network_from_any_thread(
    confined: Sandbox[tuple[str, str], str],
    with_files: Sandbox[tuple[str, str], str],
    surroundings: Surroundings,
    what: str,
) -> None:
    here = confined_work.attempt((what.removeprefix("thread "), surroundings.port))

    there = [sandbox.run((what, surroundings.port), quiet) for sandbox in (confined, with_files)]

    assert (here, there) == ("done", ["EACCES", "EACCES"])


@pytest.mark.parametrize("what", [*WISHES, "thread append", "execute"])
def test_the_child_changes_and_executes_no_file(
    confined: Sandbox[tuple[str, str], str], surroundings: Surroundings, what: str
) -> None:
    answer = confined.run((what, surroundings.file), quiet)

    assert answer == "EACCES"
    assert Path(surroundings.file).read_bytes() == b"image"
    assert [path.name for path in Path(surroundings.file).parent.iterdir()] == ["instance"]


def test_the_child_reads_what_it_is_told_to(
    confined: Sandbox[tuple[str, str], str], surroundings: Surroundings
) -> None:
    assert confined.run(("read", surroundings.file), quiet) == "done"


def test_a_child_that_needs_its_devices_may_write(
    with_files: Sandbox[tuple[str, str], str], surroundings: Surroundings
) -> None:
    assert with_files.run(("overwrite", surroundings.file), quiet) == "done"


@pytest.mark.parametrize("what", TO_OTHERS)
def test_the_child_signals_limits_and_types_for_nobody_else(
    confined: Sandbox[tuple[str, str], str], with_files: Sandbox[tuple[str, str], str], what: str
) -> None:
    there = [sandbox.run((what, str(os.getpid())), quiet) for sandbox in (confined, with_files)]

    assert there == ["EACCES", "EACCES"]


@pytest.mark.parametrize("what", ["limit itself", "lock"])
def test_the_child_may_do_the_like_to_itself(
    confined: Sandbox[tuple[str, str], str], surroundings: Surroundings, what: str
) -> None:
    assert confined.run((what, surroundings.file), quiet) == "done"


def test_what_holds_is_told(confined: Sandbox[tuple[str, str], str]) -> None:
    confined.run(("native", ""), quiet)

    assert confined.isolation == Isolation(network=False, files=False, memory_bytes=Limits().memory_bytes)
    assert confined.isolation.words == "model: no network, writes no file, 4 GB a study"
    assert NETWORK_OPEN in Isolation(network=True, files=True, memory_bytes=None).words


def test_more_memory_than_allowed_ends_the_order_and_the_next_works() -> None:
    limits = Limits(memory_bytes=SMALL)
    sandbox: Sandbox[str, object] = Sandbox(sandbox_work.build, sandbox_work.prepare, 60, limits)
    first = sandbox.run("pid", quiet)

    with pytest.raises(MemoryExceededError, match="more memory than"):
        sandbox.run("blow", quiet)

    assert sandbox.run("answer", quiet) == "ANSWER"
    assert sandbox.run("pid", quiet) != first
    sandbox.stop()


def test_more_of_the_cpu_than_allowed_ends_the_order_and_the_next_works() -> None:
    limits = Limits(cpu_seconds=0.1)
    sandbox: Sandbox[str, object] = Sandbox(sandbox_work.build, sandbox_work.prepare, 60, limits)

    with pytest.raises(ChildDiedError, match="SIGXCPU"):
        sandbox.run("spin", quiet)

    assert sandbox.run("answer", quiet) == "ANSWER"
    sandbox.stop()


def evil(what: str, study_uid: str, order: Order) -> Report:
    """Work that goes wrong for one study."""
    if order.files.study.study_uid == study_uid:
        sandbox_work.work(what)
    return work_here(order)


def build_evil(what: str, study_uid: str) -> Callable[[Order], Report]:
    return partial(evil, what, study_uid)


@pytest.mark.parametrize(
    ("what", "deadline", "reason"),
    [
        ("crash", 60, "the model process ended (SIGSEGV)"),
        ("hang", 4, "no answer within 4 s"),
        ("blow", 60, "the work took more memory than the model process may have"),
    ],
)
def test_a_study_that_crashes_hangs_or_blows_three_times_is_failed_and_the_next_is_read(
    archive: Archive, ledger: Ledger, clock: Clock, what: str, deadline: float, reason: str
) -> None:
    other = f"{STUDY_UID}.2"
    station = Station(archive, ledger, clock)
    station.receive(*(mammogram(view) for view in STANDARD_VIEWS))
    station.receive(*(mammogram(view, study_uid=other) for view in STANDARD_VIEWS))
    station.complete()
    station.sandbox = Sandbox(
        partial(build_evil, what, STUDY_UID), nothing, deadline, Limits(memory_bytes=SMALL), ANSWER_CLASSES
    )

    answers = [station.analyze() for _ in range(3)]
    following = station.analyze(study_uid=other)
    station.sandbox.stop()

    assert answers == [(), (), ["pacs"]]
    assert station.study()["state"] == "FAILED"
    assert station.study()["reason"] == f"analysis failed after 3 attempts: {reason}"
    assert following == ["pacs"]
    read = ledger.views.study(other)
    assert read is not None
    assert read["state"] == "ANALYZED"
