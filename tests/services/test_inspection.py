"""Archive and ledger that differ, made by hand: a start brings them together, or somebody hears of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from dibmg_node.domain.selftest import selftest_uid
from dibmg_node.services.inspection import Found, Inspection
from dibmg_node.services.intake import Intake
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.schema import instances
from tests.factories import PATIENCE, R_CC, STUDY_UID, Clock, mammogram, part10, sop_uid
from tests.services.test_intake import POLICY, files_under, send


class Late(Archive):
    """Lists nothing of what came since."""

    def files(self, folder: str) -> dict[str, Path]:
        return {}


@pytest.fixture
def inspection(archive: Archive, ledger: Ledger, clock: Clock) -> Inspection:
    return Inspection(archive, ledger.receipts, ledger.holdings, PATIENCE, clock)


@pytest.fixture
def intake(archive: Archive, ledger: Ledger, clock: Clock) -> Intake:
    return Intake(archive, ledger.receipts, POLICY, clock)


def put(archive: Archive, content: bytes, uid: str = sop_uid(R_CC)) -> Path:
    """A file in the archive that nobody entered."""
    path = archive.instance_path(uid)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def events(ledger: Ledger) -> list[str]:
    study = ledger.views.study(STUDY_UID)
    return [] if study is None else [entry["event"] for entry in study["timeline"]]


def test_an_archive_that_the_ledger_knows_is_left_alone(inspection: Inspection, intake: Intake) -> None:
    send(intake, mammogram())

    assert inspection.run() == Found()


def test_a_file_without_a_row_is_left_alone_while_other_machines_receive(
    inspection: Inspection, archive: Archive, ledger: Ledger
) -> None:
    path = put(archive, part10(mammogram()))

    found = inspection.run(alone=False)

    assert (found, path.exists(), ledger.views.study(STUDY_UID)) == (Found(), True, None)


def test_a_row_whose_file_comes_while_others_are_compared_is_not_missing(
    inspection: Inspection, intake: Intake, archive: Archive
) -> None:
    send(intake, mammogram())
    late = Late(archive.root)

    found = replace(inspection, archive=late).run(alone=False)
    archive.instance_path(sop_uid(R_CC)).unlink()

    assert found == Found()
    assert replace(inspection, archive=late).run(alone=False) == Found(missing=1)


def test_a_file_without_a_row_is_adopted_with_its_bytes(
    inspection: Inspection, intake: Intake, archive: Archive, ledger: Ledger
) -> None:
    path = put(archive, part10(mammogram()))

    found = inspection.run()

    assert found == Found(adopted=1)
    study = ledger.views.study(STUDY_UID)
    assert study is not None
    assert ([one["sop_uid"] for one in study["instances"]], path.exists()) == ([sop_uid(R_CC)], True)
    assert send(intake, mammogram()).status == 0
    assert files_under(archive, "quarantine") == []
    assert inspection.run() == Found()


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage" * 100, part10(mammogram(SOPInstanceUID="1.2.3"))],
    ids=["empty", "garbage", "another instance"],
)
def test_a_file_that_is_not_what_its_name_says_is_quarantined(
    inspection: Inspection, archive: Archive, ledger: Ledger, content: bytes
) -> None:
    put(archive, content)

    found = inspection.run()

    assert found == Found(set_aside=1)
    (path,) = files_under(archive, "quarantine")
    assert path.read_bytes() == content
    assert (files_under(archive, "instances"), archive.quarantined()) == ([], 1)
    assert ledger.views.study(STUDY_UID) is None


def test_a_file_of_a_self_test_without_a_row_is_removed_and_becomes_no_study(
    inspection: Inspection, archive: Archive, ledger: Ledger
) -> None:
    uid = selftest_uid(3)
    path = put(archive, part10(mammogram(study_uid=uid, SOPInstanceUID=f"{uid}.1")), f"{uid}.1")

    found = inspection.run()

    assert (found, path.exists(), ledger.views.study(uid)) == (Found(), False, None)
    assert files_under(archive, "quarantine") == []


@pytest.mark.parametrize("spool", ["spool", "spool-web", "spool-b"])
def test_a_name_that_its_spool_has_still_to_decide_on_is_left_to_it_and_the_log_says_so(
    inspection: Inspection,
    archive: Archive,
    ledger: Ledger,
    caplog: pytest.LogCaptureFixture,
    spool: str,
) -> None:
    other = replace(archive, spool=spool)
    other.prepare()
    image = mammogram()
    spooled = other.open_spool(b"")
    spooled.write(part10(image))
    spooled.sync()
    other.keep(spooled, image.SOPInstanceUID)

    found = inspection.run()

    assert (found, ledger.views.study(STUDY_UID)) == (Found(), None)
    assert [one.message for one in caplog.records] == ["files left to the repair of their spool"]
    assert Intake(other, ledger.receipts, POLICY, inspection.now).repair() == 1
    assert files_under(archive, "instances") == []


def test_a_file_that_a_snapshot_has_too_is_adopted(
    inspection: Inspection, archive: Archive, ledger: Ledger, tmp_path: Path
) -> None:
    path = put(archive, part10(mammogram()))
    (tmp_path / "snapshot.dcm").hardlink_to(path)

    found = inspection.run()

    assert found == Found(adopted=1)
    assert ledger.views.study(STUDY_UID) is not None


def test_a_row_without_a_file_is_told_once_and_no_more_when_the_file_is_back(
    inspection: Inspection, intake: Intake, archive: Archive, ledger: Ledger
) -> None:
    send(intake, mammogram())
    archive.instance_path(sop_uid(R_CC)).unlink()

    found = [inspection.run(), inspection.run()]
    missing = ledger.holdings.count_missing()
    send(intake, mammogram())

    assert (found, missing) == ([Found(missing=1)] * 2, 1)
    assert (events(ledger).count("file missing"), ledger.holdings.count_missing()) == (1, 0)
    assert inspection.run() == Found()


def test_a_file_that_is_gone_a_second_time_is_told_again(
    inspection: Inspection, intake: Intake, archive: Archive, ledger: Ledger
) -> None:
    for _ in range(2):
        send(intake, mammogram())
        archive.instance_path(sop_uid(R_CC)).unlink()
        inspection.run()

    assert (events(ledger).count("file missing"), ledger.holdings.count_missing()) == (2, 1)


def test_an_instance_that_was_purged_is_not_missing(
    inspection: Inspection, intake: Intake, archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    send(intake, mammogram())
    archive.instance_path(sop_uid(R_CC)).unlink()
    before = inspection.run()
    with ledger.engine.begin() as connection:
        connection.execute(update(instances).values(purged_at=clock()))

    after = inspection.run()

    assert (before, after) == (Found(missing=1), Found())
    assert ledger.holdings.count_missing() == 0


def test_a_result_without_a_row_stays_for_the_next_analysis(inspection: Inspection, archive: Archive) -> None:
    archive.put_result("1.2.3", b"report")

    found = inspection.run()

    assert found == Found(results=1)
    assert archive.result_path("1.2.3").read_bytes() == b"report"
