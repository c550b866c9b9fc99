"""A ledger, an archive and a clock of a test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from tests.factories import Clock, new_archive, new_ledger

_LONGEST_FIRST = ("flow", "faults", "model")
"""Folders whose files take minutes: begun last, one would run on alone when all others are through."""

# TensorFlow takes it when it first runs, whichever test that is in: trainings that are compared need it, and
# `dibmg train` settles it for itself
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the longest files begin first; all else stays in its order."""

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        return _LONGEST_FIRST.index(folder) if folder in _LONGEST_FIRST else len(_LONGEST_FIRST)

    items.sort(key=place)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = new_ledger(tmp_path)
    yield ledger
    ledger.engine.dispose()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return new_archive(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()
