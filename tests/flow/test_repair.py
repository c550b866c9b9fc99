"""A data folder as a crash, a bad disk or an old backup leaves it: what the next start makes of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from pydicom import dcmread

from dibmg_node.config import load_settings
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.wiring import foundation
from tests.factories import write_exam
from tests.flow.running_node import RunningNode

MakeNode = Callable[..., RunningNode]
STUDY, LOST, HELD = "1.2.5.1", "1.2.5.2", "1.2.5.3"


def data_of(node: RunningNode) -> tuple[Archive, Ledger]:
    """Archive and ledger of a node that does not run."""
    settings = load_settings(node.config)
    return foundation.open_archive(settings), foundation.open_node_ledger(settings)


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_start_repairs_what_it_finds_and_status_tells_what_it_cannot(
    make_node: MakeNode, tmp_path: Path
) -> None:
    node = make_node({}, quiet_seconds=1).start()
    node.send(write_exam(tmp_path / "held", study_uid=HELD))
    node.send(write_exam(tmp_path / "lost", study_uid=LOST)[:1])
    node.wait_for_state(HELD, "DELIVERED")
    node.wait_for_state(LOST, "EXCLUDED")
    node.stop()
    archive, ledger = data_of(node)
    # a transfer that was cut off
    archive.open_spool(b"half of an image").sync()
    # an exam that the ledger of an old backup does not have
    for path in write_exam(tmp_path / "exam", study_uid=STUDY):
        with archive.open_spool(path.read_bytes()) as kept:
            kept.sync()
            archive.keep(kept, str(dcmread(path).SOPInstanceUID))
    # a file that a bad disk lost
    lost = ledger.views.study(LOST)
    assert lost is not None
    archive.instance_path(lost["instances"][0]["sop_uid"]).unlink()
    # a result whose analysis did not come to its end
    archive.put_result("1.2.5.4", b"left by a killed worker")
    # a claim of a worker that is gone
    now = foundation.now()
    ledger.retries.ask(HELD, now)
    ledger.claims.claim(HELD, 4, "gone@elsewhere", now, timedelta(seconds=-1))
    ledger.engine.dispose()

    node.start()

    assert files_under(archive.root / "spool") == []
    node.wait(HELD, lambda study: study["timeline"][-1]["event"] != "claimed")
    node.wait_for_state(HELD, "DELIVERED")
    study = node.wait_for_state(STUDY, "DELIVERED")
    assert {one["code"] for one in study["instances"]} == {"USED"}
    assert archive.result_path("1.2.5.4").exists()
    status = node.cli_json("status")
    assert (status["health"], status["archive"]) == (
        "degraded",
        {"quarantined": 0, "missing": 1, "shared": False},
    )
    assert "1 received image is gone" in " ".join(status["reasons"])


def test_other_bytes_under_a_known_uid_are_an_alarm_until_a_person_takes_them_away(
    make_node: MakeNode, tmp_path: Path
) -> None:
    node = make_node({}).start()
    node.send(write_exam(tmp_path / "first", study_uid=STUDY)[:1])
    before = node.cli_json("status")

    sent = node.try_send(write_exam(tmp_path / "second", study_uid=STUDY, PatientAge="067Y")[:1])

    assert (before["health"], before["archive"]) == (
        "healthy",
        {"quarantined": 0, "missing": 0, "shared": False},
    )
    assert sent.returncode != 0
    status = node.cli_json("status")
    assert (status["health"], status["archive"]["quarantined"]) == ("degraded", 1)
    (quarantined,) = files_under(node.folder / "var" / "archive" / "quarantine")
    quarantined.unlink()
    assert node.cli_json("status")["health"] == "healthy"
