from __future__ import annotations

from pathlib import Path

import pytest

from dibmg.whole_folder import whole_folder


class StopError(Exception):
    pass


def fill(folder: Path, text: str) -> None:
    with whole_folder(folder, ("a", "b")) as made:
        for name in ("a", "b", "notes"):
            (made / name).write_text(text)


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_folder_takes_the_place_of_the_earlier_one_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    fill(tmp_path / "set", "one")
    (tmp_path / "set" / "old").write_text("of the first")

    fill(tmp_path / "set", "two")

    assert list(tmp_path.iterdir()) == [tmp_path / "set"]
    assert content(tmp_path / "set") == dict.fromkeys(("a", "b", "notes"), "two")


def test_while_it_is_filled_and_where_that_fails_the_earlier_one_is_there(tmp_path: Path) -> None:
    fill(tmp_path / "set", "one")

    with pytest.raises(StopError), whole_folder(tmp_path / "set", ("a", "b")) as made:
        (made / "a").write_text("two")
        assert content(tmp_path / "set") == dict.fromkeys(("a", "b", "notes"), "one")
        raise StopError

    assert list(tmp_path.iterdir()) == [tmp_path / "set"]
    assert content(tmp_path / "set") == dict.fromkeys(("a", "b", "notes"), "one")


def test_what_is_the_same_stays_as_it_is(tmp_path: Path) -> None:
    fill(tmp_path / "set", "one")
    (tmp_path / "set" / "notes").write_text("mine")
    before = (tmp_path / "set").stat().st_ino

    fill(tmp_path / "set", "one")

    assert (tmp_path / "set").stat().st_ino == before
    assert content(tmp_path / "set") == {"a": "one", "b": "one", "notes": "mine"}


def test_what_is_the_same_but_for_a_file_that_is_gone_is_replaced(tmp_path: Path) -> None:
    fill(tmp_path / "set", "one")
    (tmp_path / "set" / "b").unlink()

    fill(tmp_path / "set", "one")

    assert content(tmp_path / "set") == dict.fromkeys(("a", "b", "notes"), "one")


def test_the_earlier_folder_is_put_back_where_a_process_was_killed_between_renames(tmp_path: Path) -> None:
    fill(tmp_path / "set", "one")
    (tmp_path / "set").rename(tmp_path / ".set.before")
    (tmp_path / ".set.partial").mkdir()

    with pytest.raises(StopError), whole_folder(tmp_path / "set", ("a", "b")):
        raise StopError

    assert list(tmp_path.iterdir()) == [tmp_path / "set"]
    assert content(tmp_path / "set") == dict.fromkeys(("a", "b", "notes"), "one")


def test_what_is_left_beside_a_folder_goes_with_the_next(tmp_path: Path) -> None:
    fill(tmp_path / "set", "one")
    for state in ("partial", "before"):
        (tmp_path / f".set.{state}").mkdir()
        (tmp_path / f".set.{state}" / "a").write_text("half")

    fill(tmp_path / "set", "two")

    assert list(tmp_path.iterdir()) == [tmp_path / "set"]


def test_what_a_link_points_to_is_replaced_and_not_the_link(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "set"
    fill(elsewhere, "one")
    (tmp_path / "link").symlink_to(elsewhere)

    fill(tmp_path / "link", "two")

    assert (tmp_path / "link").is_symlink()
    assert content(elsewhere) == dict.fromkeys(("a", "b", "notes"), "two")
    assert list(elsewhere.parent.iterdir()) == [elsewhere]
