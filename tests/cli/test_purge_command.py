"""`dibmg purge` on a ledger with one delivered study."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.storage.archive import Archive
from tests.cli.program import dibmg
from tests.factories import STUDY_UID, Clock, a_result, new_archive, new_ledger
from tests.storage.life import analysis, analyze, make_ready, settle


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """One study, received and delivered long ago."""
    (tmp_path / "var").mkdir()
    ledger, archive, clock = new_ledger(tmp_path / "var"), new_archive(tmp_path / "var"), Clock()
    make_ready(ledger, clock)
    archive.put_result("2.25.1", b"result")
    analyze(ledger, clock, analysis([a_result()]))
    settle(ledger, clock, DeliveryState.STORED)
    ledger.engine.dispose()
    return archive


def test_without_yes_it_shows_what_would_go_and_with_it_that_is_gone(
    tmp_path: Path, archive: Archive
) -> None:
    first = json.loads(dibmg(tmp_path, "purge", "--older-than-days", "1", "--json").stdout)
    there = archive.result_path("2.25.1").exists()
    second = json.loads(dibmg(tmp_path, "purge", "--older-than-days", "1", "--yes", "--json").stdout)

    assert (first["purged"], second["purged"]) == (False, True)
    assert first["studies"] == second["studies"]
    assert [(one["study_uid"], one["reason"]) for one in first["studies"]] == [(STUDY_UID, "age")]
    assert (there, archive.result_path("2.25.1").exists()) == (True, False)
    told = json.loads(dibmg(tmp_path, "study", STUDY_UID, "--json").stdout)
    assert (told["state"], told["purged_at"] is None) == ("DELIVERED", False)
    assert "purged    20" in dibmg(tmp_path, "study", STUDY_UID).stdout


def test_it_says_in_words_what_would_go(tmp_path: Path, archive: Archive) -> None:
    told = dibmg(tmp_path, "purge", "--older-than-days", "1").stdout

    assert STUDY_UID in told
    assert "1 study," in told
    assert "--yes does it" in told


@pytest.mark.parametrize("days", ["1e12", "36501", "inf", "nan"])
def test_an_age_that_no_study_can_have_is_a_wrong_command_line(
    tmp_path: Path, archive: Archive, days: str
) -> None:
    ended = dibmg(tmp_path, "purge", "--older-than-days", days)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Invalid value for '--older-than-days'" in ended.stderr


def test_the_longest_times_that_can_be_configured_keep_every_study(tmp_path: Path, archive: Archive) -> None:
    (tmp_path / "config.toml").write_text(
        "[archive]\npurge_after_days = 36500\nkeep_hours = 876000\nhigh_water_percent = 1\n"
    )

    told = json.loads(dibmg(tmp_path, "purge", "--json").stdout)

    assert told["studies"] == []


def test_a_node_that_was_never_up_has_nothing_to_purge_and_nothing_is_made(tmp_path: Path) -> None:
    ended = dibmg(tmp_path, "purge")

    assert (ended.returncode, "no ledger below" in ended.stderr) == (1, True)
    assert not (tmp_path / "var").exists()
