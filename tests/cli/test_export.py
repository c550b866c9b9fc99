"""`dibmg export`: studies and scores as a table."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dibmg_node.domain.result import Scores
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality
from dibmg_node.services.export import COLUMNS
from dibmg_node.storage.analysis_rows import Analysis, Outcome
from dibmg_node.storage.receipts import Received
from tests.cli.program import dibmg
from tests.factories import (
    CANARY,
    PATIENCE,
    START,
    STUDY_UID,
    Clock,
    archive_data_set,
    instance,
    mammogram,
    new_archive,
    new_ledger,
    received,
)
from tests.storage.life import claim

READING = {
    "model": {"name": "test", "version": "7", "sha256": "ab" * 32},
    "operating_point": {"name": "default", "version": "1", "threshold": 0.5},
    "scores": {"exam": 0.7, "R": 0.7, "L": 0.1, "views": {"R-CC": 0.75, "L-MLO": 0.05}},
    "findings": [{}, {}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One study that was read, with its images; then one of a sender who would like to be a formula."""
    (tmp_path / "var").mkdir()
    ledger, archive, clock = new_ledger(tmp_path / "var"), new_archive(tmp_path / "var"), Clock()
    for view in STANDARD_VIEWS:
        size, crc32 = archive_data_set(archive, mammogram(view))
        ledger.receipts.store(Received(instance(view), size, crc32, "MG1"), PATIENCE, clock())
    clock.advance(PATIENCE.longest.total_seconds())
    ledger.receipts.complete_due(clock())
    scores = Scores(0.7, {Laterality.RIGHT: 0.7, Laterality.LEFT: 0.1}, {})
    ledger.claims.commit(claim(ledger, clock), Analysis(Outcome.ANALYZED, "", [], READING, scores), clock())
    other = instance(study_uid="1.2.9", sop_uid="1.2.9.1")
    ledger.receipts.store(received(other, sender="=1+1"), PATIENCE, clock())
    ledger.engine.dispose()
    return tmp_path


def exported(folder: Path, *options: str) -> list[dict[str, str]]:
    dibmg(folder, "export", "--out", "studies.csv", *options).check_returncode()
    with (folder / "studies.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_csv_has_scores_model_and_operating_point_of_every_study(folder: Path) -> None:
    newer, older = exported(folder)

    assert [older[name] for name in ("study_uid", "state", "score_exam", "score_r", "score_l")] == [
        *(STUDY_UID, "DELIVERED", "0.7", "0.7", "0.1")
    ]
    assert [older[name] for name in ("score_r_cc", "score_l_cc", "score_l_mlo")] == ["0.75", "", "0.05"]
    names = ("findings", "threshold", "operating_point", "model", "model_version")
    assert [older[name] for name in names] == ["2", "0.5", "default", "test", "7"]
    assert datetime.fromisoformat(older["received_at"]) == START
    assert (newer["score_exam"], newer["findings"], newer["model"]) == ("", "", "")


def test_parquet_has_the_same_with_types(folder: Path) -> None:
    answer = dibmg(folder, "export", "--out", "studies.parquet", "--json")

    table = pq.read_table(folder / "studies.parquet")
    newer, older = table.to_pylist()
    told = json.loads(answer.stdout)
    assert (told["studies"], told["columns"], table.column_names) == (2, list(COLUMNS), list(COLUMNS))
    assert (older["score_exam"], older["findings"], older["revision"]) == (0.7, 2, 4)
    assert (newer["score_exam"], newer["findings"]) == (None, None)


def test_nobody_is_named_and_the_accession_number_comes_only_when_asked_for(folder: Path) -> None:
    without, with_it = exported(folder), exported(folder, "--accession")

    assert "A123" not in str(without)
    assert [one["accession_number"] for one in with_it] == ["", "A123"]
    words = (*CANARY.split("^"), "P123", "19600102")
    assert [word for word in words if word in str(without) + str(with_it)] == []


def test_an_archive_that_cannot_be_read_ends_an_export_and_is_not_taken_for_a_purge(folder: Path) -> None:
    for path in (folder / "var" / "archive" / "instances").glob("??/*.dcm"):
        path.unlink()
        path.mkdir()  # which is there, and cannot be read

    answer = dibmg(folder, "export", "--out", "studies.csv", "--accession")

    assert answer.returncode == 1
    assert "the archive cannot be read: Is a directory" in answer.stderr
    assert list(folder.glob("studies*")) == []


def test_filters_hold_and_what_a_sender_calls_itself_is_no_formula(folder: Path) -> None:
    rows = exported(folder, "--state", "RECEIVING")

    assert [(one["study_uid"], one["sender"]) for one in rows] == [("1.2.9", "'=1+1")]


@pytest.mark.parametrize(
    ("name", "told"),
    [("studies.xls", "expected a name that ends in .csv or .parquet"), ("gone/studies.csv", "No such file")],
)
def test_a_file_that_cannot_be_written_is_said_and_nothing_is_left(
    folder: Path, name: str, told: str
) -> None:
    answer = dibmg(folder, "export", "--out", name)

    assert answer.returncode == 1
    assert told in answer.stderr
    assert list(folder.glob("**/*studies*")) == []
