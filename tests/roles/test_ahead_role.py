from __future__ import annotations

import threading
from pathlib import Path
from typing import cast

import pytest

from dibmg_node.errors import LedgerUnavailableError
from dibmg_node.machine.latch import Latch
from dibmg_node.machine.nudge import Nudges, nudge
from dibmg_node.roles.ahead import _look
from dibmg_node.services.ahead import LookAhead
from tests.factories import CANARY

WAIT_SECONDS = 30


class Looks:
    """Counts looks; each runs into the next of some failures, then into none."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.number = 0
        self.looked = threading.Condition()

    def look(self) -> bool:
        with self.looked:
            self.number += 1
            self.looked.notify_all()
        if self.failures:
            raise self.failures.pop(0)
        return False

    def wait_for(self, number: int) -> None:
        with self.looked:
            assert self.looked.wait_for(lambda: self.number >= number, WAIT_SECONDS)


@pytest.mark.timeout(90)
def test_whatever_a_look_runs_into_the_next_nudge_has_another_and_the_end_ends_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    looks = Looks(LedgerUnavailableError("gone"), ValueError(f"cannot load {CANARY}"))
    path, ending = tmp_path / "ahead.nudge", Latch()
    thread = threading.Thread(target=_look, args=(cast("LookAhead", looks), Nudges(path), ending))

    thread.start()
    for number in (1, 2, 3):  # the first one needs no nudge: what came before nudged nobody
        looks.wait_for(number)
        nudge(path)
    looks.wait_for(4)
    ending.set()
    thread.join(WAIT_SECONDS)

    assert not thread.is_alive()
    assert [(one.levelname, one.message) for one in caplog.records] == [
        ("WARNING", "arriving images not looked at"),
        ("ERROR", "unexpected error in a look ahead"),
    ]
