"""`dibmg replay` where there is nothing to read again; a real node's studies are read in tests/flow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import dibmg
from tests.factories import STUDY_UID, Clock, new_ledger
from tests.storage.life import make_ready


@pytest.mark.parametrize(
    ("study_uid", "code", "told"),
    [("1.2.3", 3, "no study 1.2.3 in the ledger"), (STUDY_UID, 1, "is READY: it has not been read")],
)
def test_what_cannot_be_read_again_is_said_with_its_exit_code(
    tmp_path: Path, study_uid: str, code: int, told: str
) -> None:
    (tmp_path / "var").mkdir()
    ledger = new_ledger(tmp_path / "var")
    make_ready(ledger, Clock())
    ledger.engine.dispose()

    ended = dibmg(tmp_path, "replay", study_uid)

    assert ended.returncode == code
    assert told in ended.stderr
