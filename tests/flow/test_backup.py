"""A backup, taken as deploy/many-machines.md says while the node works, and put back."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from pacs import Orthanc

from tests.factories import write_exam
from tests.flow.running_node import RunningNode

BEFORE, BETWEEN, AFTER = "1.2.7.1", "1.2.7.2", "1.2.7.3"


def test_what_was_acknowledged_before_a_backup_is_there_after_its_restore(
    make_node: Callable[..., RunningNode], orthanc: Orthanc, tmp_path: Path
) -> None:
    node = make_node({"pacs": orthanc.port}).start()
    data, backup = node.folder / "var", tmp_path / "backup"
    backup.mkdir()
    node.send(write_exam(tmp_path / "before", study_uid=BEFORE))
    # the ledger first, in the middle of the work …
    with (
        closing(sqlite3.connect(data / "ledger.sqlite")) as source,
        closing(sqlite3.connect(backup / "ledger.sqlite")) as target,
    ):
        source.backup(target)
    node.send(write_exam(tmp_path / "between", study_uid=BETWEEN))
    node.wait_for_state(BETWEEN, "DELIVERED")
    # … then the archive
    shutil.copytree(data / "archive", backup / "archive", ignore=shutil.ignore_patterns("spool*", "drafts*"))
    node.send(write_exam(tmp_path / "after", study_uid=AFTER))
    node.wait_for_state(AFTER, "DELIVERED")
    node.stop()
    for path in (data / "archive", *data.glob("ledger.sqlite*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    shutil.copytree(backup, data, dirs_exist_ok=True)
    node.start()

    kept = [node.wait_for_state(study_uid, "DELIVERED") for study_uid in (BEFORE, BETWEEN)]
    assert [len(study["instances"]) for study in kept] == [4, 4]
    assert [{one["code"] for one in study["instances"]} for study in kept] == [{"USED"}] * 2
    assert [len(orthanc.instances(study_uid)) for study_uid in (BEFORE, BETWEEN, AFTER)] == [5, 5, 5]
    assert node.cli("study", AFTER).returncode == 3
    assert node.cli_json("status")["archive"] == {"quarantined": 0, "missing": 0, "shared": False}
