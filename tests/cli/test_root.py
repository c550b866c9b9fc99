"""Commands that root types in the data folder of a service that runs as a user of its own; needs root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.program import dibmg
from tests.factories import STUDY_UID, Clock, new_archive, new_ledger
from tests.storage.life import analysis, analyze, make_ready

NOBODY = 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_commands_of_root_make_below_the_data_folder_is_the_service_s(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    folder.mkdir()
    ledger, _, clock = new_ledger(folder), new_archive(folder), Clock()
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([]))
    ledger.engine.dispose()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    pacs = '[[destination]]\nname = "pacs"\naddress = "127.0.0.1"\nport = 9\nae_title = "ANY"\n'
    (tmp_path / "config.toml").write_text(pacs)

    ended = [
        dibmg(tmp_path, *arguments, said="correct horse battery\n").returncode
        for arguments in (
            ("user", "add", "anna", "--password-stdin"),
            ("pause", "analysis"),
            ("retry", STUDY_UID),
            ("purge", "--older-than-days", "0", "--yes"),
            ("audit", "verify"),
        )
    ]
    dibmg(tmp_path, "fetch", "1.2.3", "--from", "pacs")  # nobody listens there

    made = {path.relative_to(folder).as_posix(): path.stat().st_uid for path in folder.rglob("*")}
    assert ended == [0] * 5
    expected = {"audit.key", "audit-verified.json", "audit/lock", "fetch.lock", "web/users.json"}
    assert expected <= set(made)
    assert set(made.values()) == {NOBODY}
