"""What a day is judged by: the queue, memory, and that nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.day import account
from benchmarks.family import family, family_cpu_seconds, resident_mb
from benchmarks.queue_age import Stay, age, ages
from benchmarks.site import RESULTS_OF_AN_EXAM
from benchmarks.watch import TOTAL, Watch, courses


def _study(number: int, results: int = RESULTS_OF_AN_EXAM) -> dict[str, Any]:
    uids = [{"sop_uid": f"1.2.{number}.{one}"} for one in range(results)]
    return {"study_uid": f"1.2.{number}", "results": uids}


def _uids(*studies: dict[str, Any]) -> set[str]:
    return {result["sop_uid"] for study in studies for result in study["results"]}


def test_the_oldest_waiting_exam_is_the_age_of_the_queue() -> None:
    stays = [Stay(0.0, 10.0), Stay(4.0, 20.0), Stay(30.0, 40.0)]

    assert age(stays, 9.0) == 9.0
    assert age(stays, 10.0) == 6.0
    assert age(stays, 25.0) == 0.0


def test_the_age_at_the_end_is_that_of_the_exam_that_left_last() -> None:
    found = ages([Stay(0.0, 10.0), Stay(9.0, 12.0)], begun=0.0)

    assert found["max_s"] == 10.0
    assert found["at_end_s"] == 3.0
    assert len(found["course_s"]) == 19


def test_a_stay_is_from_the_last_image_to_the_last_result() -> None:
    study = {
        "steps": [
            {"step": "receiving", "end": "2026-01-01T00:00:10+00:00"},
            {"step": "delivery to pacs", "end": None},
        ],
        "deliveries": [
            {"settled_at": "2026-01-01T00:00:13+00:00"},
            {"settled_at": "2026-01-01T00:00:12+00:00"},
        ],
    }

    stay = Stay.of(study)

    assert stay.end - stay.begin == 3.0


def test_a_result_that_the_pacs_lacks_is_an_error() -> None:
    study = _study(1)

    with pytest.raises(RuntimeError, match="1 results lost"):
        account([study], _uids(study) - {"1.2.1.0"})


def test_a_study_with_too_few_results_is_an_error() -> None:
    study = _study(1, RESULTS_OF_AN_EXAM - 1)

    with pytest.raises(RuntimeError, match="1 studies without"):
        account([study], _uids(study))


def test_results_that_are_all_there_are_counted() -> None:
    studies = [_study(1), _study(2)]

    assert account(studies, _uids(*studies)) == {"results": 2 * RESULTS_OF_AN_EXAM, "results_lost": 0}


def test_memory_is_told_by_thirds_and_its_peak() -> None:
    samples = [{"model": float(mb), TOTAL: float(mb)} for mb in (10, 20, 90, 30, 40, 60)]

    found = courses(samples)

    assert found["model"] == {"peak_mb": 90.0, "first_third_mb": 15.0, "last_third_mb": 50.0}


def test_a_watch_samples_at_both_ends_and_adds_up() -> None:
    with Watch(lambda: {os.getpid(): "one", os.getppid(): "two"}) as watch:
        pass

    assert len(watch.samples) == 2
    for sample in watch.samples:
        assert sample[TOTAL] == sample["one"] + sample["two"] > sample["one"] > 0


def test_a_family_has_the_children_and_what_they_used() -> None:
    work = "import time\nwhile time.process_time() < 0.1: pass\nprint(1, flush=True)\ninput()"
    command = [sys.executable, "-c", work]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()

        found, used = family(os.getpid()), family_cpu_seconds(child.pid)

        child.stdin.close()
    assert child.pid in found
    assert used >= 0.08
    assert resident_mb(child.pid) == 0.0
    assert family_cpu_seconds(child.pid) == 0.0
