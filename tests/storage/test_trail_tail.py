"""The newest lines of a trail, from its end backwards."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dibmg_node.storage.trail import Trail, trail_file, trail_files
from dibmg_node.storage.trail_tail import TrailFilter, TrailPage, TrailPlace, read_back

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    made = Trail(tmp_path / "audit", "intake", longest_file=20_000)
    yield made
    made.close()


def fill(trail: Trail, number: int, **more: object) -> None:
    """Lines a minute apart."""
    for one in range(number):
        told = {"event": "110100", "outcome": 0, "number": one, "filling": "x" * (one % 7 * 40), **more}
        trail.append(told, AT + timedelta(minutes=one))


def seqs(page: TrailPage) -> list[int]:
    return [one["seq"] for one in page.lines]


def pages(trail: Trail, wanted: TrailFilter, **options: int) -> list[int]:
    """Every line, page after page."""
    found, before = [], None
    while True:
        page = read_back(trail.folder, wanted, before, **options)
        found += seqs(page)
        if page.following is None:
            return found
        before = page.following


@pytest.mark.parametrize("most", [1, 7, 50])
def test_pages_follow_one_another_over_all_files_and_no_line_comes_twice_or_never(
    trail: Trail, most: int
) -> None:
    fill(trail, 300)
    assert len(trail_files(trail.folder)) > 3

    assert pages(trail, TrailFilter(), most=most) == list(range(300, 0, -1))


@pytest.mark.parametrize("length", [10, 65_000, 65_536, 200_000])
def test_a_line_of_any_length_is_read_across_blocks(trail: Trail, length: int) -> None:
    fill(trail, 2)
    trail.append({"event": "110100", "filling": "y" * length}, AT + timedelta(hours=1))
    fill(trail, 2)

    assert pages(trail, TrailFilter(), most=2) == [5, 4, 3, 2, 1]


def test_what_is_written_meanwhile_moves_no_page(trail: Trail) -> None:
    fill(trail, 20)
    first = read_back(trail.folder, TrailFilter(), most=5)

    fill(trail, 20)

    second = read_back(trail.folder, TrailFilter(), first.following, most=5)
    assert (seqs(first), seqs(second)) == ([20, 19, 18, 17, 16], [15, 14, 13, 12, 11])


def test_a_torn_end_is_no_line(trail: Trail) -> None:
    fill(trail, 3)
    with trail_file(trail.folder, 1).open("ab") as file:
        file.write(b'{"seq": 4, "former"')

    assert seqs(read_back(trail.folder, TrailFilter())) == [3, 2, 1]


def test_filters_hold_together(trail: Trail) -> None:
    trail.append({"event": "110104", "outcome": 0, "studies": [{"study_uid": "1.2.3"}]}, AT)
    trail.append({"event": "110104", "outcome": 8, "studies": [{"study_uid": "1.2.3"}]}, AT)
    trail.append({"event": "110104", "outcome": 8, "studies": [{"study_uid": "1.2.33"}]}, AT)
    trail.append({"event": "110113", "outcome": 8, "description": '"event": "110104"'}, AT)

    folder = trail.folder
    assert seqs(read_back(folder, TrailFilter(event="110104"))) == [3, 2, 1]
    assert seqs(read_back(folder, TrailFilter(outcome=8))) == [4, 3, 2]
    assert seqs(read_back(folder, TrailFilter(study_uid="1.2.3"))) == [2, 1]
    assert seqs(read_back(folder, TrailFilter(event="110104", study_uid="1.2.3", outcome=8))) == [2]


def test_a_span_of_time_has_its_beginning_and_not_its_end(trail: Trail) -> None:
    fill(trail, 10)

    wanted = TrailFilter(since=AT + timedelta(minutes=2), until=AT + timedelta(minutes=5))

    assert seqs(read_back(trail.folder, wanted)) == [5, 4, 3]


def test_files_of_later_days_are_not_read_for_an_earlier_one(trail: Trail) -> None:
    for day in range(30):
        trail.append({"event": "110100", "outcome": 0}, AT + day * DAY)
    for number, path in trail_files(trail.folder):
        if number > 12:  # what is wanted ends with the tenth
            path.write_bytes(b'{"at": "2026-03-30' + path.read_bytes()[10:].replace(b"110100", b"broken"))

    page = read_back(trail.folder, TrailFilter(until=AT + 10 * DAY), most=3, most_bytes=2000)

    assert seqs(page) == [10, 9, 8]


def test_an_earlier_time_within_a_long_file_is_found_without_reading_the_rest(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "long", "intake")
    for number in range(1500):
        told = {"event": "110100", "filling": "x" * (number % 5 * 100)}
        trail.append(told, AT + timedelta(seconds=number))

    page = read_back(trail.folder, TrailFilter(until=AT + timedelta(seconds=100)), most=3, most_bytes=100_000)

    trail.close()
    assert len(trail_files(tmp_path / "long")) == 1
    assert seqs(page) == [100, 99, 98]


def test_a_search_that_finds_little_stops_and_goes_on_where_it_stopped(trail: Trail) -> None:
    trail.append({"event": "110113", "outcome": 8}, AT)
    fill(trail, 200)

    page = read_back(trail.folder, TrailFilter(event="110113"), most_bytes=10_000)

    assert (page.lines, page.complete) == ([], False)
    assert page.following is not None
    assert page.looked_back_to > AT.isoformat()
    assert pages(trail, TrailFilter(event="110113"), most_bytes=10_000) == [1]


@pytest.mark.parametrize("place", [TrailPlace(99, 5), TrailPlace(0, 0), TrailPlace(1, 10**9)])
def test_a_place_that_is_none_is_no_error(trail: Trail, place: TrailPlace) -> None:
    fill(trail, 3)

    assert set(seqs(read_back(trail.folder, TrailFilter(), place))) <= {1, 2, 3}
