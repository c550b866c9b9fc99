"""`dibmg outcomes` and `dibmg outcomes import` on a ledger with many exams."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import insert, select, update

from dibmg_node.cli.main import cli
from dibmg_node.dicom.search_keys import NumberKind, search_key, untold_key
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.receipts import Received
from dibmg_node.storage.schema import exam_scores, studies, study_keys
from tests.factories import PATIENCE, START, archive_data_set, instance, mammogram, new_archive, new_ledger
from tests.storage.scored_exams import UNIT, enter_exams

SCORES = [0.9, 0.8, 0.3, 0.7, 0.4, 0.2, 0.1, 0.05]
"""Of eight exams at an operating point of 0.5; the first three have a cancer."""
ROWS = [*["cancer"] * 3, "benign", *["normal"] * 4]


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """Of a node with eight exams, whose accession numbers are ACC0 to ACC7, in two quarters."""
    (tmp_path / "var").mkdir()
    (tmp_path / "config.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    ledger = new_ledger(tmp_path / "var")
    enter_exams(ledger, SCORES[:4], START)
    enter_exams(ledger, SCORES[4:], START + timedelta(days=100))
    with ledger.engine.begin() as connection:
        uids = connection.scalars(select(exam_scores.c.study_uid).order_by(exam_scores.c.at)).all()
        for place, study_uid in enumerate(uids):
            key = search_key(f"ACC{place}", NumberKind.ACCESSION)
            connection.execute(insert(study_keys).values(key=key, study_uid=study_uid))
    yield ledger
    ledger.engine.dispose()


def table(rows: list[str] = ROWS) -> Path:
    path = Path("outcomes.csv")
    path.write_text("accession,outcome\n" + "".join(f"acc {n},{row}\n" for n, row in enumerate(rows)))
    return path


def dibmg(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_rates_are_those_at_the_operating_point_of_each_exam(ledger: Ledger) -> None:
    imported = dibmg("outcomes", "import", str(table()), "--json")
    shown = dibmg("outcomes", "--json")

    assert json.loads(imported.stdout)["new"] == 8
    (weights,) = json.loads(shown.stdout)["weights"]
    overall = weights["overall"]
    counts = {
        name: (overall[name]["count"], overall[name]["of"])
        for name in ("sensitivity", "specificity", "ppv", "recall")
    }
    assert counts == {"sensitivity": (2, 3), "specificity": (4, 5), "ppv": (2, 3), "recall": (3, 8)}
    # of 15 pairs with and without cancer 13 are in order: 0.3 is below 0.7 and 0.4
    assert overall["auc"]["value"] == pytest.approx(13 / 15)
    # Wilson's interval of 2 of 3
    assert (overall["sensitivity"]["low"], overall["sensitivity"]["high"]) == pytest.approx(
        (0.2077, 0.9385), abs=1e-4
    )
    assert [one["exams"] for one in weights["periods"]] == [4, 4]
    assert [(one["manufacturer"], one["exams"]) for one in weights["devices"]] == [(UNIT.manufacturer, 8)]
    assert weights["periods"][1]["auc"]["reason"] == "no positives"


def test_an_exam_whose_cancer_is_in_a_breast_that_was_not_read_is_left_out_and_counted(
    ledger: Ledger,
) -> None:
    with ledger.engine.begin() as connection:
        connection.execute(update(studies).values(score_l=None))
    path = Path("outcomes.csv")
    path.write_text(
        "accession,outcome,laterality\nACC0,cancer,R\nACC1,cancer,L\nACC2,cancer,L\nACC3,normal,\n"
    )

    imported = dibmg("outcomes", "import", str(path))
    found = json.loads(dibmg("outcomes", "--json").stdout)

    assert imported.exit_code == 0
    assert (found["exams"], found["cancers"], found["left_out"]) == (2, 1, 2)
    overall = found["weights"][0]["overall"]
    assert [overall[name]["of"] for name in ("sensitivity", "specificity", "recall")] == [1, 1, 2]
    assert "Left out: 2 exams whose cancer is in a breast that was not read." in found["note"]


def test_where_no_exam_is_left_to_count_it_is_told_why(ledger: Ledger) -> None:
    with ledger.engine.begin() as connection:
        connection.execute(update(studies).values(score_l=None))
    path = Path("outcomes.csv")
    path.write_text("accession,outcome,laterality\nACC1,cancer,L\n")
    dibmg("outcomes", "import", str(path))

    ended = dibmg("outcomes")

    assert "Left out: 1 exam whose cancer is in a breast that was not read." in " ".join(ended.stdout.split())


def test_a_correction_is_shown_with_what_it_replaced(ledger: Ledger) -> None:
    dibmg("outcomes", "import", str(table()))
    dibmg("outcomes", "import", str(table(["normal", *ROWS[1:]])))
    study = ledger.follow_ups.exams()[0].study_uid

    found, told = json.loads(dibmg("study", study, "--json").stdout), dibmg("study", study).stdout

    assert [(one["outcome"], one["replaced_at"] is None) for one in found["outcomes"]] == [
        ("cancer", False),
        ("normal", True),
    ]
    assert "outcome   normal (entered " in told


def test_the_ledger_keeps_no_accession_number(ledger: Ledger) -> None:
    dibmg("outcomes", "import", str(table()))

    ledger.engine.dispose()
    assert not any(b"ACC" in path.read_bytes().upper() for path in Path("var").glob("ledger*"))


def test_the_audit_trail_tells_who_entered_which_file_and_nothing_of_any_exam(ledger: Ledger) -> None:
    dibmg("outcomes", "import", str(table().rename("film\nreading.csv")))
    dibmg("outcomes", "import", str(table(["normal", *ROWS[1:]])))

    told = dibmg("audit", "show", "--json").stdout
    lines = [one for one in json.loads(told) if one["type"] == "outcomes"]
    assert [one["description"] for one in lines] == [
        "film reading.csv: 8 lines about 8 exams: 8 new, 0 corrected, 0 withdrawn, 0 unchanged",
        "outcomes.csv: 8 lines about 8 exams: 0 new, 1 corrected, 0 withdrawn, 7 unchanged",
    ]
    assert {one["participants"][0]["user"] for one in lines} == {getpass.getuser()}
    assert not any("studies" in one or "patient" in one for one in lines)
    assert "acc " not in told


def test_a_table_that_is_not_entered_is_not_in_the_audit_trail(ledger: Ledger) -> None:
    dibmg("outcomes", "import", str(table([*ROWS, "perhaps"])))

    assert '"outcomes"' not in dibmg("audit", "show", "--json").stdout


def test_lines_that_fit_no_exam_or_several_are_told_and_the_others_entered(ledger: Ledger) -> None:
    with ledger.engine.begin() as connection:
        uid = connection.scalars(select(exam_scores.c.study_uid).order_by(exam_scores.c.at.desc())).first()
        key = search_key("ACC0", NumberKind.ACCESSION)
        connection.execute(insert(study_keys).values(key=key, study_uid=uid))
    path = table([*ROWS, "normal"])

    ended = dibmg("outcomes", "import", str(path))

    assert ended.exit_code == 0
    assert "9 lines about 7 exams: 7 new, 0 corrected" in ended.stdout
    assert "1 line left out, not in the ledger: line 10" in ended.stdout
    assert "1 line left out, accession number of several studies: give study_uid: line 2" in ended.stdout


def test_whose_number_a_key_of_an_earlier_version_is_the_archived_image_says(
    ledger: Ledger, tmp_path: Path
) -> None:
    archive, names = new_archive(tmp_path / "var"), ("1.2.7.1", "1.2.7.2", "1.2.7.3")
    for study_uid, accession, patient in zip(names, ("ACC8", "X", "ACC9"), ("P", "ACC8", "P"), strict=True):
        image = mammogram(study_uid=study_uid, AccessionNumber=accession, PatientID=patient)
        keys = untold_key(accession), untold_key(patient)
        one = instance(study_uid=study_uid, sop_uid=image.SOPInstanceUID)
        size, crc32 = archive_data_set(archive, image)
        ledger.receipts.store(Received(one, size, crc32, "MG1", keys), PATIENCE, START)
    archive.remove([image.SOPInstanceUID], [])

    ended = dibmg("outcomes", "import", str(table([*ROWS, "cancer", "cancer"])))

    assert set(ledger.follow_ups.known(names)) == {names[0]}
    told = (
        "1 line left out, accession number or patient ID, and no image tells which: give study_uid: line 11"
    )
    assert told in ended.stdout


def test_a_table_with_a_fault_is_not_entered_at_all(ledger: Ledger) -> None:
    ended = dibmg("outcomes", "import", str(table([*ROWS, "perhaps"])))

    assert ended.exit_code == 1
    assert "line 10, outcome: expected cancer, benign, normal" in ended.output
    assert ledger.follow_ups.exams() == []


def test_without_the_extra_the_import_works_and_says_what_is_missing(ledger: Ledger) -> None:
    code = (
        "import sys\n"
        "for name in ('scipy', 'statsmodels', 'pandas', 'sklearn'):\n"
        "    sys.modules[name] = None\n"
        "from dibmg_node.cli.main import main\n"
        "main()\n"
    )

    def without(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
        )

    imported, shown = without("outcomes", "import", str(table())), without("outcomes")

    assert imported.returncode == 0, imported.stderr
    assert "8 new" in imported.stdout
    assert "figures need dibmg-node[evaluate]" in imported.stdout
    assert shown.returncode == 2
    assert "install dibmg-node[evaluate]" in shown.stderr


def test_a_node_without_outcomes_says_how_to_enter_some(ledger: Ledger) -> None:
    ended = dibmg("outcomes")

    assert ended.exit_code == 0
    assert "dibmg outcomes import FILE" in ended.stdout
