from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dibmg_node.storage.trail import NO_FORMER, Trail, digest_of, find_head, trail_file, trail_files
from dibmg_node.storage.trail_check import Break, check_trail
from dibmg_node.storage.trail_reading import Bookmark, load_bookmark, read_on, save_bookmark, still_holds

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
WRITER = """
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from dibmg_node.storage.trail import Trail
trail = Trail(Path(sys.argv[1]), sys.argv[2], longest_file=4000)
for number in range(int(sys.argv[3])) if int(sys.argv[3]) else count():
    trail.append({"event": "110100", "number": number, "filling": "x" * 300}, datetime.now(UTC))
    print(number, flush=True)
"""


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    made = Trail(tmp_path / "audit", "intake")
    yield made
    made.close()


def fill(trail: Trail, number: int, at: datetime = AT) -> None:
    for one in range(number):
        trail.append({"event": "110100", "number": one}, at + timedelta(seconds=one))


def raw_lines(folder: Path) -> list[bytes]:
    return b"".join(path.read_bytes() for _, path in trail_files(folder)).splitlines()


def broken(folder: Path, **options: object) -> Break:
    found = check_trail(folder, **options).broken  # type: ignore[arg-type]
    assert found is not None
    return found


def rewrite(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def test_each_line_carries_the_digest_of_the_one_before_and_its_number(trail: Trail) -> None:
    fill(trail, 3)

    first, second, third = raw_lines(trail.folder)
    assert [json.loads(line)["seq"] for line in (first, second, third)] == [1, 2, 3]
    assert [json.loads(line)["former"] for line in (first, second, third)] == [
        NO_FORMER,
        digest_of(first),
        digest_of(second),
    ]
    assert json.loads(first)["at"] == "2026-03-04T05:06:07.000+00:00"


def test_only_its_owner_can_read_the_trail(trail: Trail) -> None:
    fill(trail, 1)

    assert trail.folder.stat().st_mode & 0o777 == 0o700
    assert trail_file(trail.folder, 1).stat().st_mode & 0o777 == 0o600


def test_a_day_ends_a_file_and_the_chain_goes_on_in_the_next(trail: Trail) -> None:
    fill(trail, 2)
    fill(trail, 2, AT + timedelta(days=1))

    checked = check_trail(trail.folder)

    assert [number for number, _ in trail_files(trail.folder)] == [1, 2]
    assert (checked.broken, checked.files, checked.lines) == (None, 2, 4)


def test_a_clock_that_is_set_back_ends_no_file(trail: Trail) -> None:
    fill(trail, 1)
    fill(trail, 1, AT - timedelta(days=1))

    assert len(trail_files(trail.folder)) == 1


def test_a_size_ends_a_file_and_the_chain_goes_on_in_the_next(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "audit", "intake", longest_file=500)
    fill(trail, 20)

    checked = check_trail(trail.folder)

    assert checked.files > 3
    assert (checked.broken, checked.lines) == (None, 20)


def test_a_restarted_process_goes_on_where_the_trail_ends(trail: Trail) -> None:
    fill(trail, 2)

    fill(Trail(trail.folder, "web"), 2)

    checked = check_trail(trail.folder)
    assert (checked.broken, checked.lines) == (None, 4)


def test_processes_that_append_at_once_make_one_whole_chain(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    command = (sys.executable, "-c", WRITER, str(folder))
    writers = [
        subprocess.Popen([*command, name, "60"], stdout=subprocess.DEVNULL)
        for name in ("intake", "web", "delivery", "sweep")
    ]

    codes = [writer.wait(120) for writer in writers]

    checked = check_trail(folder)
    told = [json.loads(line) for line in raw_lines(folder)]
    assert codes == [0, 0, 0, 0]
    assert (checked.broken, checked.lines) == (None, 240)
    for name in ("intake", "web", "delivery", "sweep"):
        assert [one["number"] for one in told if one["process"] == name] == list(range(60))


def test_writers_that_are_killed_leave_a_trail_that_is_whole_and_has_what_they_said(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    said: list[int] = []
    for number in range(8):
        writer = subprocess.Popen(
            (sys.executable, "-c", WRITER, str(folder), f"writer{number}", "0"),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        for _ in range(5 + number):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        said.append(4 + number)
        writer.communicate(timeout=60)

    Trail(folder, "after").append({"event": "110100"}, datetime.now(UTC))

    told = [json.loads(line) for line in raw_lines(folder) if line.startswith(b"{")]
    assert check_trail(folder).broken is None
    for number, last in enumerate(said):
        numbers = [one["number"] for one in told if one["process"] == f"writer{number}" and "number" in one]
        assert numbers[: last + 1] == list(range(last + 1))


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_torn_last_line_is_marked_and_the_chain_goes_on(trail: Trail, kept: int) -> None:
    fill(trail, 2)
    path = trail_file(trail.folder, 1)
    torn = path.read_bytes()[:kept].splitlines()[-1]
    rewrite(path, raw_lines(trail.folder)[:1])
    path.write_bytes(path.read_bytes() + torn)
    before = broken(trail.folder)

    fill(Trail(trail.folder, "intake"), 2)

    checked = check_trail(trail.folder)
    mark = json.loads(raw_lines(trail.folder)[2])
    assert (before.place.line, before.reason) == (2, "torn: the line has no end")
    assert (checked.broken, checked.torn, checked.lines) == (None, 1, 4)
    assert mark["torn"] == {"bytes": len(torn), "sha256": digest_of(torn)}
    assert (mark["event"], mark["type"], mark["seq"]) == ("110113", "110133", 2)


def test_a_line_torn_on_a_full_disk_is_marked_once_there_is_room(trail: Trail) -> None:
    fill(trail, 2)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (trail_file(trail.folder, 1).stat().st_size + 60, limits[1]))

    try:
        with pytest.raises(OSError, match="File too large"):
            fill(trail, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    fill(trail, 1)

    checked = check_trail(trail.folder)
    assert (checked.broken, checked.torn, checked.lines) == (None, 1, 4)


def test_a_file_that_a_killed_writer_left_empty_is_used(trail: Trail) -> None:
    fill(trail, 2)
    trail_file(trail.folder, 2).touch()

    fill(Trail(trail.folder, "intake"), 1)

    checked = check_trail(trail.folder)
    assert (checked.broken, checked.lines) == (None, 3)
    assert trail_file(trail.folder, 2).stat().st_size > 0


def test_a_changed_line_is_found_with_its_place(trail: Trail) -> None:
    fill(trail, 5)
    path = trail_file(trail.folder, 1)
    lines = raw_lines(trail.folder)
    lines[2] = lines[2].replace(b'"number": 2', b'"number": 7')
    rewrite(path, lines)

    found = broken(trail.folder)

    assert (found.place.file, found.place.line) == (path, 3)
    assert found.reason.startswith("changed")


def test_a_removed_line_is_found_with_its_place(trail: Trail) -> None:
    fill(trail, 5)
    lines = raw_lines(trail.folder)
    rewrite(trail_file(trail.folder, 1), [*lines[:2], *lines[3:]])

    found = broken(trail.folder)

    assert (found.place.line, found.reason) == (3, "removed: found line 4, expected 3")


def test_a_removed_first_line_is_found(trail: Trail) -> None:
    fill(trail, 3)
    rewrite(trail_file(trail.folder, 1), raw_lines(trail.folder)[1:])

    assert broken(trail.folder).reason == "removed: the trail begins with line 2, expected 1"


def test_lines_that_changed_places_are_found(trail: Trail) -> None:
    fill(trail, 5)
    lines = raw_lines(trail.folder)
    rewrite(trail_file(trail.folder, 1), [lines[0], lines[2], lines[1], *lines[3:]])

    found = broken(trail.folder)

    assert (found.place.line, found.reason) == (2, "removed: found line 3, expected 2")


def test_a_repeated_line_is_found(trail: Trail) -> None:
    fill(trail, 3)
    lines = raw_lines(trail.folder)
    rewrite(trail_file(trail.folder, 1), [*lines[:2], lines[1], lines[2]])

    assert broken(trail.folder).reason == "reordered or repeated: found line 2, expected 3"


def test_a_line_torn_in_the_middle_is_found(trail: Trail) -> None:
    fill(trail, 3)
    lines = raw_lines(trail.folder)
    rewrite(trail_file(trail.folder, 1), [lines[0], lines[1][:50], lines[2]])

    found = broken(trail.folder)

    assert (found.place.line, found.reason) == (2, "changed or torn: not a line of the trail")


def test_a_removed_file_is_found_with_the_place_of_the_next_one(trail: Trail) -> None:
    for day in range(3):
        fill(trail, 2, AT + timedelta(days=day))
    trail_file(trail.folder, 2).unlink()

    found = broken(trail.folder)

    assert (found.place.file.name, found.place.line) == ("audit-000003.jsonl", 1)
    assert found.reason == "removed: found line 5, expected 3"


def test_older_files_may_be_taken_away_by_who_says_so(trail: Trail) -> None:
    for day in range(3):
        fill(trail, 2, AT + timedelta(days=day))
    trail_file(trail.folder, 1).unlink()

    assert broken(trail.folder).reason.startswith("removed")
    assert check_trail(trail.folder, first_seq=3).broken is None


def test_an_end_that_was_cut_off_is_found_by_a_head_that_was_noted(trail: Trail) -> None:
    fill(trail, 5)
    noted = check_trail(trail.folder).head
    rewrite(trail_file(trail.folder, 1), raw_lines(trail.folder)[:3])

    assert check_trail(trail.folder).broken is None
    assert "was cut off" in broken(trail.folder, noted_head=noted).reason


def test_a_head_that_was_noted_and_is_no_longer_the_last_is_still_met(trail: Trail) -> None:
    fill(trail, 2)
    noted = check_trail(trail.folder).head
    fill(trail, 2)

    assert check_trail(trail.folder, noted_head=noted).broken is None


@pytest.mark.parametrize("whole_file", [False, True])
def test_an_end_that_was_cut_off_under_a_running_node_leaves_a_gap(trail: Trail, whole_file: bool) -> None:
    fill(trail, 2)
    fill(trail, 3, AT + timedelta(days=1))
    path = trail_file(trail.folder, 2)
    rewrite(path, path.read_bytes().splitlines()[:1])
    if whole_file:
        path.unlink()

    fill(trail, 1, AT + timedelta(days=1))

    assert broken(trail.folder).reason.startswith("removed: found line 6")


def test_a_damaged_last_line_ends_nothing_and_is_found(trail: Trail) -> None:
    fill(trail, 3)
    rewrite(trail_file(trail.folder, 1), [*raw_lines(trail.folder)[:2], b"rubbish"])

    fill(Trail(trail.folder, "intake"), 1)

    found = broken(trail.folder)
    assert json.loads(raw_lines(trail.folder)[3])["seq"] == 3
    assert (found.place.line, found.reason) == (3, "changed or torn: not a line of the trail")


def test_a_very_long_last_line_is_found_whole(trail: Trail) -> None:
    trail.append({"filling": "x" * 300_000}, AT)

    head = find_head(trail.folder)

    assert (head.seq, head.digest) == (1, digest_of(raw_lines(trail.folder)[0]))


def test_what_a_line_holds_cannot_begin_another_line(trail: Trail) -> None:
    trail.append({"user": 'a\n{"seq": 9}\u2028\x1b[31mä'}, AT)

    content = trail_file(trail.folder, 1).read_bytes()

    assert content.count(b"\n") == 1
    assert all(0x20 <= byte < 0x7F for byte in content[:-1])


def test_a_reader_goes_on_from_its_bookmark_through_all_files(trail: Trail) -> None:
    for day in range(3):
        fill(trail, 2, AT + timedelta(days=day))
    at, found = Bookmark(), []

    while lines := read_on(trail.folder, at, 4)[0]:
        at = read_on(trail.folder, at, 4)[1]
        found += [line["seq"] for line in lines]

    assert found == [1, 2, 3, 4, 5, 6]
    assert (at.number, at.seq) == (3, 6)


def test_a_reader_leaves_a_line_that_is_not_whole_yet(trail: Trail) -> None:
    fill(trail, 1)
    path = trail_file(trail.folder, 1)
    whole = path.stat().st_size
    with path.open("ab") as file:
        file.write(b'{"seq": 2, "form')

    lines, at = read_on(trail.folder, Bookmark(), 10)

    assert ([line["seq"] for line in lines], at.offset) == ([1], whole)


def test_a_bookmark_is_kept_and_a_damaged_one_is_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "bookmark.json"
    save_bookmark(path, Bookmark(3, 400, 17, "no answer"))

    kept = load_bookmark(path)
    path.write_text("{")

    assert kept == Bookmark(3, 400, 17, "no answer")
    assert load_bookmark(path) == Bookmark()
    assert [one.name for one in tmp_path.iterdir()] == ["bookmark.json"]


@pytest.mark.parametrize("left", [0, 1, 2])
@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_bookmark_behind_an_end_that_was_cut_off_is_known_however_the_trail_went_on(
    tmp_path: Path, left: int, after: int
) -> None:
    former = Trail(tmp_path / "audit", "web")
    for day in range(3):
        fill(former, 2, AT + timedelta(days=day))
    former.close()
    at = read_on(former.folder, Bookmark(), 10)[1]
    held = still_holds(former.folder, at)
    for _, path in trail_files(former.folder)[left:]:
        path.unlink()

    trail = Trail(former.folder, "web")
    for day in range(after):
        fill(trail, 2, AT + timedelta(days=day + left, hours=1))
    trail.close()

    assert held
    assert not still_holds(trail.folder, at)


def test_a_bookmark_in_a_shortened_file_is_known(trail: Trail) -> None:
    fill(trail, 3)
    at = read_on(trail.folder, Bookmark(), 10)[1]
    path = trail_file(trail.folder, 1)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))

    assert not still_holds(trail.folder, at)


def test_a_bookmark_outlives_that_older_files_are_taken_away(trail: Trail) -> None:
    fill(trail, 1)
    at = read_on(trail.folder, Bookmark(), 10)[1]
    fill(trail, 1, AT + timedelta(days=1))
    trail_file(trail.folder, 1).unlink()

    assert still_holds(trail.folder, at)
    assert still_holds(trail.folder, Bookmark())
    assert [line["seq"] for line in read_on(trail.folder, at, 10)[0]] == [2]
