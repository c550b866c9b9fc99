"""`dibmg studies` and `dibmg study` on a ledger with a handful of studies."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from dibmg_node.cli.main import cli
from dibmg_node.cli.tables import console
from tests.cli.program import dibmg
from tests.factories import PATIENCE, STANDARD_VIEWS, STUDY_UID, Clock, instance, new_ledger, received
from tests.storage.life import analysis, analyze, make_ready

NOW = datetime.now(UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six studies, number n received n days ago by MG0 or MG1, of two makers, with the score n / 10."""
    (tmp_path / "var").mkdir()
    ledger = new_ledger(tmp_path / "var")
    for number in range(6):
        one = instance(
            study_uid=f"1.2.{number}", sop_uid=f"1.2.{number}.1", manufacturer=f"Maker {number % 3}"
        )
        at = NOW - timedelta(days=number, minutes=1)
        ledger.receipts.store(received(one, sender=f"MG{number % 2}"), PATIENCE, at)
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE studies SET score_exam = CAST(SUBSTR(study_uid, 5) AS REAL) / 10"))
    ledger.engine.dispose()
    return tmp_path


def asked(folder: Path, *options: str) -> Result:
    """`dibmg studies`, without a process of its own."""
    (folder / "config.toml").touch()
    return CliRunner().invoke(cli, ["studies", *options, "--config", str(folder / "config.toml")])


def listed(folder: Path, *options: str) -> list[int]:
    answer = asked(folder, "--json", *options)
    return [int(one["study_uid"].rpartition(".")[2]) for one in json.loads(answer.stdout)]


def day(number: int) -> str:
    return (NOW - timedelta(days=number, minutes=1)).astimezone().strftime("%Y-%m-%d")


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        ((), [0, 1, 2, 3, 4, 5]),
        (("--limit", "2"), [0, 1]),
        (("--state", "FAILED"), []),
        (("--sender", "MG1"), [1, 3, 5]),
        (("--manufacturer", "Maker 2"), [2, 5]),
        (("--since", "2d"), [0, 1]),
        (("--since", "90m"), [0]),
        (("--from", day(3)), [0, 1, 2, 3]),
        (("--to", day(3)), [3, 4, 5]),
        (("--from", day(3), "--to", day(3)), [3]),
        (("--min-score", "0.3"), [3, 4, 5]),
        (("--max-score", "0.1"), [0, 1]),
        (
            (
                *("--state", "RECEIVING", "--sender", "MG1", "--manufacturer", "Maker 0"),
                *("--since", "2w", "--min-score", "0.1", "--max-score", "0.5", "--limit", "9"),
            ),
            [3],
        ),
    ],
)
def test_filters_let_through_what_they_name(
    folder: Path, options: tuple[str, ...], passes: list[int]
) -> None:
    assert listed(folder, *options) == passes


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--since", "2h", "--from", "2026-03-04"), "--since and --from both say where to begin"),
        (("--since", "soon"), "'soon' is no time"),
        (("--from", "tomorrow"), "'tomorrow' is no date"),
        (("--min-score", "1.5"), "not in the range 0<=x<=1"),
        (("--state", "LOST"), "'LOST' is not one of"),
        (("--since", "999999w"), "reaches back before the first year"),
    ],
)
def test_a_filter_that_is_none_ends_with_exit_code_2(
    folder: Path, options: tuple[str, ...], told: str
) -> None:
    answer = asked(folder, *options)

    assert answer.exit_code == 2
    assert told in " ".join(answer.stderr.split())


def test_a_line_tells_state_scores_sender_and_maker(folder: Path) -> None:
    people = dibmg(folder, "studies", "--limit", "1", "--sender", "MG1").stdout
    programs = json.loads(dibmg(folder, "studies", "--limit", "1", "--sender", "MG1", "--json").stdout)

    assert all(word in people for word in ("RECEIVING", "0.100", "MG1", "Maker 1", "1.2.1"))
    assert set(programs[0]) == {
        *("study_uid", "state", "revision", "reason", "scores", "sender", "manufacturer"),
        *("received_at", "last_instance_at", "purged_at"),
    }
    assert programs[0]["scores"] == {"exam": 0.1, "R": None, "L": None}


def test_a_study_tells_how_long_each_step_took(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    ledger, clock = new_ledger(tmp_path / "var"), Clock()
    make_ready(ledger, clock)
    clock.advance(12.5)
    analyze(ledger, clock)
    ledger.engine.dispose()

    programs = json.loads(dibmg(tmp_path, "study", STUDY_UID, "--json").stdout)
    people = dibmg(tmp_path, "study", STUDY_UID).stdout

    assert [(one["step"], one["seconds"]) for one in programs["steps"]] == [
        ("receiving", 0.0),
        ("waiting", 312.5),
        ("analysis", 0.0),
        ("delivery to pacs", None),
    ]
    assert programs["deliveries"][0]["owed_since"] == programs["steps"][-1]["begin"]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in people.splitlines() if "│" in line]
    assert ["waiting", "5.2 min"] in [row[:2] for row in rows]
    assert ["delivery to pacs", "", "1 owed"] in [[row[0], row[1], row[-1]] for row in rows]


def test_explain_tells_what_a_reader_must_know_of_a_view(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    ledger, clock = new_ledger(tmp_path / "var"), Clock()
    make_ready(ledger, clock)
    notes = {"R-CC": ["unlike the images of training: local contrast 0.040, there 0.093 to 0.373"]}
    analyze(
        ledger,
        clock,
        replace(analysis(), reading={"findings": [], "notes": notes, "unlike_training": ["R-CC"]}),
    )
    ledger.engine.dispose()

    people = dibmg(tmp_path, "explain", STUDY_UID).stdout
    programs = json.loads(dibmg(tmp_path, "explain", STUDY_UID, "--json").stdout)

    assert f"R-CC: {notes['R-CC'][0]}" in " ".join(people.split())
    assert programs["notes"] == notes
    assert programs["unlike_training"] == ["R-CC"]


LONG_UID = "1.2.826.0.1.3680043.8.498.16728394455061728394455061728394455061"
REASONS = [
    "missing views: L-MLO, R-MLO",
    "the image is For Processing: it has no window that this model was made for",
]


@pytest.fixture
def in_full(tmp_path: Path) -> Path:
    """A study with what is longest in tables."""
    (tmp_path / "var").mkdir()
    ledger = new_ledger(tmp_path / "var")
    for number, view in enumerate(STANDARD_VIEWS):
        one = instance(
            view, study_uid=LONG_UID, sop_uid=f"{LONG_UID[:-1]}{number}", manufacturer="Maker of a unit"
        )
        ledger.receipts.store(received(one, sender="MAMMOGRAPHY_UNIT"), PATIENCE, NOW)
    with ledger.engine.begin() as connection:
        scores = "score_exam = 0.5, score_r = 0.5, score_l = 0.5"
        set_study = f"UPDATE studies SET {scores}, state = 'DELIVERED', reason = :told"
        connection.execute(text(set_study), {"told": "; ".join(REASONS)})
        judge = (
            "INSERT INTO verdicts SELECT study_uid, sop_uid, 0, 'NOT_FOR_PRESENTATION', :told FROM instances"
        )
        connection.execute(text(judge), {"told": REASONS[1]})
    ledger.engine.dispose()
    return tmp_path


def columns(told: str) -> dict[str, str]:
    """The columns of a table by their titles, each as one word: lines that were folded are joined."""
    lines = [re.split("[│┃]", line)[1:-1] for line in told.splitlines() if re.match("[│┃]", line)]
    return {column[0].strip(): "".join("".join(column[1:]).split()) for column in zip(*lines, strict=True)}


@pytest.mark.parametrize("width", [60, 80, 100, 132, 200])
def test_uids_states_and_reasons_are_whole_on_a_narrow_terminal(
    in_full: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "width", width)

    studies = dibmg(in_full, "studies").stdout
    explained = dibmg(in_full, "explain", LONG_UID).stdout

    listed, images = columns(studies), columns(explained)
    assert max(len(line) for line in (studies + explained).splitlines()) <= width
    assert (listed["study"], listed["state"]) == (LONG_UID, "DELIVERED")
    assert listed["reason"] == "".join("; ".join(REASONS).split())
    assert images["image"] == "".join(f"{LONG_UID[:-1]}{number}" for number in range(4))
    assert images["why"] == "".join(REASONS[1].split()) * 4
    assert images["used"] == "no" * 4


@pytest.mark.parametrize(
    ("width", "left_out"),
    [
        (60, "last image, exam, R, L, sender, manufacturer"),
        (100, "R, L, sender, manufacturer"),
        (132, "manufacturer"),
        (200, None),
    ],
)
def test_columns_without_room_are_left_out_and_named(
    in_full: Path, width: int, left_out: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "width", width)

    told = " ".join(dibmg(in_full, "studies").stdout.split())

    named = re.search("no room here for (.*): a wider terminal", told)
    assert (named and named[1]) == left_out
