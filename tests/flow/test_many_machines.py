"""The node on several hosts, with Redis, PostgreSQL and a folder between them: some die, and versions mix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pacs import Orthanc

from dibmg_node.dicom import facts
from dibmg_node.storage.schema_version import newest_known
from tests.factories import write_exam
from tests.flow.machines import Machines, newer_program, running_redis
from tests.object_storage import BUCKET, running_object_storage
from tests.postgresql import PASSWORD, Cluster, running_cluster

EXPECTED = sorted([facts.MAMMOGRAPHY_CAD_SR, *[facts.SECONDARY_CAPTURE] * 4])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def broker() -> Iterator[int]:
    with running_redis() as port:
        yield port


@pytest.fixture
def machines(
    cluster: Cluster, broker: int, orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machines]:
    monkeypatch.setenv("DIBMG_LEDGER_PASSWORD", PASSWORD)
    cluster.run("DROP DATABASE IF EXISTS ledger WITH (FORCE)")
    cluster.run("CREATE DATABASE ledger")
    machines = Machines(tmp_path, cluster, "ledger", broker, destinations={"pacs": orthanc.port})
    yield machines
    machines.stop()


def claimants(study: dict[str, object]) -> list[str]:
    """Hosts that claimed a study, in order."""
    timeline = study["timeline"]
    assert isinstance(timeline, list)
    return [one["detail"].partition("@")[2] for one in timeline if one["event"] == "claimed"]


def classes(orthanc: Orthanc, study_uid: str) -> list[str]:
    return sorted(str(one.SOPClassUID) for one in orthanc.instances(study_uid))


def test_an_exam_split_between_two_intakes_is_read_on_a_third_host_and_sent_from_a_fourth(
    machines: Machines, orthanc: Orthanc, tmp_path: Path
) -> None:
    first = machines.host("a", "intake").start()
    second = machines.host("b", "intake", "sweep").start()
    worker = machines.host("c", "analysis").start()
    courier = machines.host("d", "delivery", "sweep").start()
    paths = write_exam(tmp_path / "exam", study_uid="1.2.6.1")

    first.send(paths[:2])
    second.send(paths[2:])

    study = courier.wait_for_state("1.2.6.1", "DELIVERED")
    assert {one["code"] for one in study["instances"]} == {"USED"}
    assert classes(orthanc, "1.2.6.1") == EXPECTED
    assert claimants(study) == ["c"]
    seen = [host.cli_json("status") for host in (first, worker)]
    assert [(one["health"], one["reasons"]) for one in seen] == [("healthy", [])] * 2
    named = ["analysis@c", "delivery@d", "intake@a", "intake@b", "sweep@b", "sweep@d"]
    assert [[p["process"] for p in one["processes"] if p["alive"]] for one in seen] == [named, named]


def test_a_worker_host_killed_in_mid_analysis_is_followed_by_another_and_one_set_of_results_arrives(
    machines: Machines, orthanc: Orthanc, tmp_path: Path
) -> None:
    front = machines.host("a", "intake", "sweep", "delivery").start()
    workers = {name: machines.host(name, "analysis").start() for name in ("c", "e")}
    front.send(write_exam(tmp_path / "exam", study_uid="1.2.6.2", rows=3328, columns=2560))
    begun = front.wait_for_state("1.2.6.2", "ANALYZING")

    (claimant,) = claimants(begun)
    workers.pop(claimant).kill()

    study = front.wait_for_state("1.2.6.2", "DELIVERED")
    assert claimants(study) == [claimant, *workers]
    assert [one["event"] for one in study["timeline"]].count("reported") == 1
    assert classes(orthanc, "1.2.6.2") == EXPECTED
    status = front.cli_json("status")
    assert (status["health"], status["reasons"]) == ("degraded", [f"analysis does not run on {claimant}"])


def test_a_sweeping_host_that_is_killed_is_followed_by_another(machines: Machines, tmp_path: Path) -> None:
    first = machines.host("a", "sweep").start()
    first.wait_for_role("sweep", other_than=None)
    second = machines.host("b").start()

    first.kill()

    second.send(write_exam(tmp_path / "exam", study_uid="1.2.6.3"))
    assert claimants(second.wait_for_state("1.2.6.3", "DELIVERED")) == ["b"]


def test_a_node_with_another_archive_than_the_ledgers_does_not_come_up(machines: Machines) -> None:
    machines.host("a", "sweep").start()

    mistaken = machines.host("b", "sweep", archive="").up()

    assert mistaken.returncode == 2
    assert "archive.folder" in mistaken.stderr
    assert "the ledger is that of archive" in mistaken.stderr


def test_a_folder_that_is_not_mounted_is_not_taken_for_the_archive(
    machines: Machines, tmp_path: Path
) -> None:
    machines.host("a", "sweep").start().stop()
    (tmp_path / "shared").rename(tmp_path / "elsewhere")

    unmounted = machines.host("a", "sweep").up()

    assert unmounted.returncode == 2
    assert f"{tmp_path / 'shared'} is no archive yet" in unmounted.stderr


def test_two_hosts_of_one_name_cannot_be_up_at_once(machines: Machines) -> None:
    machines.host("a", "sweep").start()

    second = machines.host("a", "sweep").up()

    assert second.returncode == 2
    assert "node.name: another node a is up" in second.stderr


def test_a_worker_without_a_broker_that_others_reach_does_not_come_up(machines: Machines) -> None:
    alone = machines.host("a", "analysis")
    alone.config.write_text(alone.config.read_text().partition("[broker]")[0])

    ended = alone.up()

    assert ended.returncode == 2
    assert ended.stderr.startswith("node.roles: without intake, sweep, delivery this node needs the broker")


def test_studies_flow_on_while_a_newer_host_migrates_the_ledger(
    machines: Machines, orthanc: Orthanc, tmp_path: Path
) -> None:
    front = machines.host("a", "intake", "sweep", "delivery").start()
    worker = machines.host("c", "analysis").start()
    add = 'op.add_column("studies", sa.Column("next", sa.String(8), nullable=True))'
    newest = newest_known()
    program = newer_program(tmp_path / "next", "0098", add, min_reader=newest, follows=newest)
    uids = [f"1.2.6.4.{number}" for number in range(6)]
    for uid in uids[:3]:
        front.send(write_exam(tmp_path / uid, study_uid=uid))

    newer = machines.host("d", "analysis", "delivery", program=program).start()

    for uid in uids[3:]:
        front.send(write_exam(tmp_path / uid, study_uid=uid))
    worker.stop()
    worker.start()
    for uid in uids:
        front.wait_for_state(uid, "DELIVERED")
        assert classes(orthanc, uid) == EXPECTED
    assert newer.cli_json("status")["health"] == front.cli_json("status")["health"] == "healthy"


def test_a_migration_that_hosts_cannot_go_on_with_waits_for_their_end_and_stops_their_return(
    machines: Machines, tmp_path: Path
) -> None:
    older = machines.host("a", "sweep").start()
    change = 'op.create_table("next", sa.Column("id", sa.Integer()))'
    program = newer_program(tmp_path / "next", "0098", change, min_reader="0098", follows=newest_known())
    newer = machines.host("b", "delivery", program=program)

    refused = newer.up()
    older.stop()
    newer.start().stop()
    back = older.up()
    asked = older.cli("studies")

    assert refused.returncode == 2
    assert "up are nodes that do not: a" in refused.stderr
    assert (back.returncode, asked.returncode) == (2, 1)
    assert "the ledger has schema 0098, which is for programs that know 0098 or more" in back.stderr
    assert "install a newer one" in asked.stderr


def test_hosts_that_share_an_object_storage_answer_success_for_what_it_has_alone(
    machines: Machines, orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIBMG_ARCHIVE_KEY", "key")
    monkeypatch.setenv("DIBMG_ARCHIVE_SECRET", "secret")
    paths = write_exam(tmp_path / "exam", study_uid="1.2.6.5")
    with running_object_storage() as storage:
        machines.archive = f'url = "s3://{BUCKET}/node"\nendpoint = "{storage.endpoint}"'
        front = machines.host("a", "intake", "sweep").start()
        machines.host("c", "analysis", "delivery").start()

        storage.server.stop()
        refused = front.try_send(paths)
        storage.server.start()
        front.send(paths)

        front.wait_for_state("1.2.6.5", "DELIVERED")
        machines.stop()
    assert refused.returncode != 0
    assert classes(orthanc, "1.2.6.5") == EXPECTED
