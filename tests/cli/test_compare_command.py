"""`dibmg compare` on a ledger in which a shadow model has read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from dibmg_node.cli.main import cli
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.schema import exam_scores
from dibmg_node.storage.shadow_facts import FirstReading, ShadowOutcome, ShadowReading
from dibmg_node.storage.shadow_readings import enter_due
from tests.factories import LEASE, START, new_ledger
from tests.storage.scored_exams import enter_exams

SHADOW = "b" * 64
FIRST, SECOND = (0.9, 0.6, 0.2, 0.1), (0.8, 0.3, 0.7, 0.2)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    (tmp_path / "var").mkdir()
    (tmp_path / "config.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    ledger = new_ledger(tmp_path / "var")
    yield ledger
    ledger.engine.dispose()


def read_by_both(ledger: Ledger) -> list[str]:
    """Exams that both models read; returns their UIDs."""
    enter_exams(ledger, FIRST, START)
    with ledger.engine.begin() as connection:
        rows = connection.execute(select(exam_scores).order_by(exam_scores.c.at)).mappings().all()
        for row in rows:
            first = FirstReading(row["series"], row["score"], row["threshold"], 1, 2.0)
            enter_due(connection, row["study_uid"], 1, first, row["at"])
    for score in SECOND:
        claim = ledger.shadow_readings.claim(START, LEASE)
        assert claim is not None
        found = ShadowReading(ShadowOutcome.READ, "", score, 0.5, 1, 3.0)
        ledger.shadow_readings.commit(claim, SHADOW, found, START)
    return [row["study_uid"] for row in rows]


def dibmg(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_without_a_shadow_it_says_what_to_configure(ledger: Ledger) -> None:
    ended = dibmg("compare")

    assert ended.exit_code == 1
    assert 'set [model.shadow] weights = "..."' in ended.output


def test_the_report_names_the_exams_that_would_change_sides(ledger: Ledger) -> None:
    uids = read_by_both(ledger)

    found, told = json.loads(dibmg("compare", "--json").stdout), dibmg("compare")

    assert (found["exams"], found["shadow"]["sha256"]) == (4, SHADOW)
    assert [one["study_uid"] for one in found["changed"]] == uids[1:3]
    assert told.exit_code == 0
    assert uids[1] in told.stdout
    assert "weights bbbbbbbbbbbb beside" in told.stdout


def test_what_was_read_before_a_day_does_not_count(ledger: Ledger) -> None:
    read_by_both(ledger)

    ended = dibmg("compare", "--since", "2100-01-01")

    assert ended.exit_code == 1
    assert "no exam was read by both models yet; of the shadow: read 0, excluded 0, failed 0" in ended.output


def test_the_page_has_the_same_and_needs_nothing_beside_it(ledger: Ledger) -> None:
    uids = read_by_both(ledger)

    ended = dibmg("compare", "--html", "compare.html")

    page = Path("compare.html").read_text()
    assert ended.exit_code == 0
    assert all(uid in page for uid in uids[1:3])
    assert page.count("<circle") == 4
    assert "src=" not in page
    assert "http" not in page


def test_a_shadow_of_the_same_weights_is_a_fault_of_the_configuration(ledger: Ledger) -> None:
    Path("config.toml").write_text('[model.shadow]\nweights = "default"\n')

    ended = dibmg("config", "check")

    assert "model.shadow.weights: those of model.weights" in str(ended.exception or ended.output)
