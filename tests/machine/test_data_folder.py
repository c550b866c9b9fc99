from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dibmg_node.machine.data_folder import keep_from_others, make_data_folder


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """Whatever a test sets is gone with it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.parametrize(("mask", "after"), [(0o000, 0o007), (0o022, 0o027), (0o027, 0o027), (0o077, 0o077)])
def test_everybody_else_is_denied_what_a_node_writes_and_a_group_what_it_was_denied_before(
    mask: int, after: int
) -> None:
    os.umask(mask)

    keep_from_others()

    assert os.umask(0o022) == after


@pytest.mark.parametrize("mode", [None, 0o750, 0o755])
def test_the_data_folder_is_for_its_user_alone_and_one_that_is_there_keeps_its_mode(
    tmp_path: Path, mode: int | None
) -> None:
    folder = tmp_path / "trial" / "var"
    if mode is not None:
        folder.mkdir(parents=True)
        folder.chmod(mode)

    make_data_folder(folder)

    assert folder.stat().st_mode & 0o777 == (mode or 0o700)
