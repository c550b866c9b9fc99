from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select, text

from dibmg_node.domain.device import Device
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.storage.analysis_rows import Outcome
from dibmg_node.storage.compatibility import migrate
from dibmg_node.storage.engine import open_engine
from dibmg_node.storage.exam_scores import ExamScores, ScoredExam, SeriesExams
from dibmg_node.storage.ledger import Ledger, open_ledger
from dibmg_node.storage.schema import exam_scores
from tests.factories import R_CC, START, Clock, instance
from tests.postgresql import Cluster
from tests.storage.life import analysis, analyze, make_ready, store
from tests.storage.scored_exams import UNIT, WEIGHTS, enter_exams

SCORED = ScoredExam(UNIT, WEIGHTS, 0.7, 0.5)


def newest(ledger: Ledger, series: str, most: int = 10, after: datetime | None = None) -> SeriesExams:
    return ledger.exam_scores.newest({series: after}, most)[series]


def test_an_analysis_leaves_one_score_under_its_device(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, replace(analysis(), scored=SCORED))

    (series,) = ledger.exam_scores.series(WEIGHTS)
    exams = newest(ledger, series.name)
    assert (series.device, series.last) == (UNIT, clock())
    assert exams == SeriesExams((0.7,), [True], 0.5, clock(), clock())
    assert ledger.exam_scores.series("b" * 64) == []


def test_a_study_that_is_read_again_counts_once_with_its_newest_score(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, replace(analysis(), scored=SCORED))
    store(ledger, clock, [replace(instance(R_CC), sop_uid="1.2.3.9")])
    ledger.receipts.complete_due(clock.advance(400))
    analyze(ledger, clock, replace(analysis(), scored=replace(SCORED, score=0.2)), revision=5)

    (series,) = ledger.exam_scores.series(WEIGHTS)
    assert newest(ledger, series.name).scores == (0.2,)


def test_a_study_that_is_not_read_any_more_does_not_count(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, replace(analysis(), scored=SCORED))
    store(ledger, clock, [replace(instance(R_CC), sop_uid="1.2.3.9")])
    ledger.receipts.complete_due(clock.advance(400))
    analyze(ledger, clock, analysis(outcome=Outcome.EXCLUDED, reason="an implant"), revision=5)

    assert ledger.exam_scores.series(WEIGHTS) == []


def test_a_device_is_one_series_however_its_name_is_spelled(ledger: Ledger) -> None:
    last = enter_exams(ledger, [0.1, 0.2], START)
    enter_exams(ledger, [0.3], last + timedelta(minutes=1), Device("MAKER", "unit 1", "1.0 2.0"))

    (series,) = ledger.exam_scores.series(WEIGHTS)
    assert series.device == UNIT
    assert newest(ledger, series.name).scores == (0.1, 0.2, 0.3)


def test_first_and_newest_exams_come_in_the_order_in_which_they_were_read(ledger: Ledger) -> None:
    enter_exams(ledger, [0.1, 0.2, 0.3, 0.4], START)
    (series,) = ledger.exam_scores.series(WEIGHTS)
    second = START + timedelta(minutes=1)

    found = [
        newest(ledger, series.name, 2),
        newest(ledger, series.name, after=second),
        ledger.exam_scores.first(series.name, 2),
        ledger.exam_scores.first(series.name, 2, second),
    ]

    assert [one.scores for one in found] == [(0.3, 0.4), (0.3, 0.4), (0.1, 0.2), (0.2, 0.3)]
    assert (found[3].first, found[3].last) == (second, START + timedelta(minutes=2))


def test_devices_are_apart_by_software_and_weights_and_the_newest_comes_first(ledger: Ledger) -> None:
    newer = replace(UNIT, software="3.0")
    enter_exams(ledger, [0.1], START + timedelta(hours=1))
    enter_exams(ledger, [0.2], START + timedelta(hours=2), newer)
    enter_exams(ledger, [0.3], START + timedelta(hours=3), weights="b" * 64)

    assert [one.device for one in ledger.exam_scores.series(WEIGHTS)] == [newer, UNIT]


def test_the_window_of_a_device_is_read_from_the_index_alone_in_its_order(ledger: Ledger) -> None:
    enter_exams(ledger, [0.1] * 5, START)
    (series,) = ledger.exam_scores.series(WEIGHTS)
    plans: list[str] = []
    postgres = ledger.engine.dialect.name == "postgresql"
    with ledger.engine.connect() as connection:
        if postgres:
            connection.execute(text("SET enable_seqscan = off"))  # five rows are not worth an index
        columns = exam_scores.c.at, exam_scores.c.score, exam_scores.c.threshold
        query = select(*columns).where(exam_scores.c.series == series.name)
        query = query.order_by(exam_scores.c.at.desc()).limit(3)
        plain = query.compile(ledger.engine, compile_kwargs={"literal_binds": True})
        explain = "EXPLAIN " if postgres else "EXPLAIN QUERY PLAN "
        plans += [str(row) for row in connection.execute(text(explain + str(plain)))]

    assert any("exam_scores_series" in plan for plan in plans), plans


def test_a_ledger_of_an_earlier_schema_gets_the_scores_of_the_studies_that_it_has(tmp_path: Path) -> None:
    check_taking_over(f"sqlite:///{tmp_path / 'ledger.sqlite'}")


def test_so_does_one_on_postgresql(cluster: Cluster) -> None:
    cluster.run("CREATE DATABASE earlier")
    check_taking_over(cluster.url("earlier"))


def check_taking_over(url: str) -> None:
    """Migrate a ledger with a read study, one of two versions, and an excluded one."""
    engine = open_engine(url)
    migrate(engine, "0006")
    names = {"manufacturer": " Maker ", "manufacturer_model": "Unit 1", "software_versions": "1.0 2.0"}
    with engine.begin() as connection:
        for study, versions, score in (
            ("1.1", ("1.0 2.0", "1.0 2.0"), 0.25),
            ("1.2", ("1.0 2.0", "3.0"), 0.75),
            ("1.3", ("1.0 2.0",), None),
        ):
            values = {"study": study, "score": score}
            connection.execute(
                text(
                    "INSERT INTO studies (study_uid, state, revision, reason, sender, received_at, "
                    "receiving_since, last_instance_at, standard_views, attempts, analyzed_revision, "
                    "score_exam) VALUES (:study, 'DELIVERED', 2, '', 'MG1', 1, 1, 1, 0, 0, 2, :score)"
                ),
                values,
            )
            read = {"model": {"sha256": WEIGHTS}, "operating_point": {"threshold": 0.5}}
            unread = {"model": None, "operating_point": None}
            for revision in (1, 2):
                connection.execute(
                    text("INSERT INTO analyses VALUES (:study, :revision, :at, :outcome, :reading)"),
                    {
                        "study": study,
                        "revision": revision,
                        "at": revision * 1_000_000,
                        "outcome": "excluded" if score is None else "analyzed",
                        "reading": json.dumps(unread if score is None else read),
                    },
                )
            for number, version in enumerate(versions):
                sop_uid = f"{study}.{number}"
                connection.execute(
                    text(
                        "INSERT INTO instances (sop_uid, study_uid, facts, size, crc32, sender, received_at) "
                        "VALUES (:sop, :study, :facts, 1, 1, 'MG1', 1)"
                    ),
                    {
                        "sop": sop_uid,
                        "study": study,
                        "facts": json.dumps({**names, "software_versions": version}),
                    },
                )
                connection.execute(
                    text("INSERT INTO verdicts VALUES (:study, :sop, 1, 'USED', '')"),
                    {"study": study, "sop": sop_uid},
                )

    migrate(engine)

    scores = ExamScores(engine)
    found = {one.device: scores.newest({one.name: None}, 9)[one.name] for one in scores.series(WEIGHTS)}
    assert {device: (one.scores, one.last and one.last.timestamp()) for device, one in found.items()} == {
        UNIT: ((0.25,), 2.0),
        replace(UNIT, software=""): ((0.75,), 2.0),
    }
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(exam_scores)).scalar_one() == 2
    engine.dispose()


def test_a_device_that_was_taken_over_goes_on_in_its_own_series(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'taken-over.sqlite'}"
    check_taking_over(url)
    ledger = open_ledger(url, ExamPolicy())
    enter_exams(ledger, [0.9], START)

    names = [one.device for one in ledger.exam_scores.series(WEIGHTS)]
    assert sorted(names) == [replace(UNIT, software=""), UNIT]
    ledger.engine.dispose()
