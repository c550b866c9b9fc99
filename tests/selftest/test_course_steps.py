"""The course of a self-test whose steps break, or that a pause holds up."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from dibmg_node.config import Settings, load_settings
from dibmg_node.domain.pause import Part, Pause
from dibmg_node.domain.selftest import SELFTEST_AET, SelfTestStep, StepOutcome, selftest_uid
from dibmg_node.errors import SelfTestBrokenError, SelfTestPausedError
from dibmg_node.selftest.course import _Course, run_selftest
from dibmg_node.selftest.specimen import make_specimen
from dibmg_node.selftest.stop import Stop
from dibmg_node.selftest.watching import Watch
from dibmg_node.services.loopback_pacs import LoopbackPacs
from dibmg_node.storage.analysis_rows import Outcome
from dibmg_node.storage.ledger import Ledger
from dibmg_node.wiring import foundation
from tests.factories import PATIENCE, STUDY_UID, Clock, instance, new_ledger, received
from tests.storage.life import analysis, analyze, make_ready


@pytest.fixture
def site(tmp_path: Path) -> tuple[Settings, Ledger]:
    """A node whose weights are gone: its self-tests break at once."""
    config = tmp_path / "config.toml"
    config.write_text('[model]\nweights = "gone"\n')
    settings = load_settings(config)
    settings.data_dir.mkdir()
    return settings, new_ledger(settings.data_dir)


def pause(ledger: Ledger, part: Part) -> None:
    ledger.pauses.begin(Pause(part, "", foundation.now(), "Ann", "a new disk"))


def course(settings: Settings, ledger: Ledger) -> _Course:
    """One that began a minute ago."""
    specimen = make_specimen(selftest_uid(9))
    started_at = foundation.now() - timedelta(minutes=1)
    return _Course(settings, ledger, specimen, LoopbackPacs(), 1, lambda outcome: None, Stop(), started_at)


def test_a_test_whose_files_cannot_be_removed_ends_and_says_so(site: tuple[Settings, Ledger]) -> None:
    settings, ledger = site
    archive = foundation.open_archive(settings)

    def enter_an_image(outcome: StepOutcome) -> None:
        test = ledger.selftests.running(foundation.now())
        if test is None or outcome.step is SelfTestStep.REMOVAL:
            return
        one = instance(study_uid=test.study_uid, sop_uid=f"{test.study_uid}.1")
        archive.instance_path(one.sop_uid).mkdir(parents=True)  # which nobody can remove as a file
        ledger.receipts.store(replace(received(one), sender=SELFTEST_AET), PATIENCE, foundation.now())

    outcomes = run_selftest(settings, ledger, 1, enter_an_image)

    assert [one.step for one in outcomes if not one.passed] == [
        SelfTestStep.EXPECTATION,
        SelfTestStep.REMOVAL,
    ]
    assert ledger.selftests.running(foundation.now()) is None
    assert len(ledger.selftests.unremoved()) == 1


@pytest.mark.parametrize("part", [Part.INTAKE, Part.ANALYSIS])
def test_none_begins_while_its_way_is_paused_and_nothing_is_remembered_of_it(
    site: tuple[Settings, Ledger], part: Part
) -> None:
    settings, ledger = site
    pause(ledger, part)

    with pytest.raises(SelfTestPausedError, match=f"^{part} is paused since .* by Ann: a new disk"):
        run_selftest(settings, ledger, 1)

    assert ledger.selftests.running(foundation.now()) is None
    assert ledger.selftests.last(foundation.now()) is None


def test_a_destination_that_is_paused_is_not_on_the_way(site: tuple[Settings, Ledger]) -> None:
    settings, ledger = site
    ledger.pauses.begin(Pause(Part.DESTINATION, "pacs", foundation.now(), "", ""))

    outcomes = run_selftest(settings, ledger, 1)

    assert outcomes[0].step is SelfTestStep.EXPECTATION


@pytest.mark.parametrize(
    ("part", "step"), [(Part.INTAKE, SelfTestStep.STORAGE), (Part.ANALYSIS, SelfTestStep.ANALYSIS)]
)
@pytest.mark.parametrize("resumed", [False, True])
def test_a_step_that_a_pause_overtook_is_held_up_and_not_broken(
    site: tuple[Settings, Ledger], part: Part, step: SelfTestStep, resumed: bool
) -> None:
    running = course(*site)
    pause(running.ledger, part)
    if resumed:
        running.ledger.pauses.end(part, "", foundation.now())

    with pytest.raises(SelfTestPausedError, match=f"^{part} "), running.step(step):
        raise SelfTestBrokenError("association rejected", "see the logs")


def test_a_pause_explains_no_step_that_does_not_go_through_it_nor_one_that_was_over_before(
    site: tuple[Settings, Ledger],
) -> None:
    running = course(*site)
    pause(running.ledger, Part.INTAKE)
    pause(running.ledger, Part.ANALYSIS)
    running.ledger.pauses.end(Part.ANALYSIS, "", running.started_at - timedelta(seconds=1))

    for step in (SelfTestStep.LESION, SelfTestStep.ANALYSIS):
        with pytest.raises(SelfTestBrokenError, match="another score"), running.step(step):
            raise SelfTestBrokenError("another score", "restart the node")


def test_a_pause_does_not_explain_an_analysis_that_failed(site: tuple[Settings, Ledger]) -> None:
    running, clock = course(*site), Clock()
    make_ready(running.ledger, clock)
    analyze(running.ledger, clock, analysis(outcome=Outcome.EXCLUDED, reason="missing views: L-MLO"))
    running.specimen = replace(running.specimen, study_uid=STUDY_UID)
    pause(running.ledger, Part.ANALYSIS)

    with pytest.raises(SelfTestBrokenError, match="is EXCLUDED"), running.step(SelfTestStep.ANALYSIS):
        raise SelfTestBrokenError("the study is EXCLUDED: missing views: L-MLO", "see the logs")


def test_one_that_is_stopped_in_a_step_that_then_breaks_is_taken_back_and_is_no_finding(
    site: tuple[Settings, Ledger],
) -> None:
    settings, ledger = site
    stop = Stop()
    with contextlib.suppress(SystemExit):
        stop.ask()  # which a library swallows, or tells as an error of its own

    with pytest.raises(SystemExit) as ended:
        run_selftest(settings, ledger, 1, stop=stop)

    assert ended.value.code == 1
    assert ledger.selftests.running(foundation.now()) is None
    assert ledger.selftests.last(foundation.now()) is None


def test_a_stop_that_a_library_swallowed_ends_the_wait_for_a_study(site: tuple[Settings, Ledger]) -> None:
    settings, ledger = site
    stop = Stop()
    with contextlib.suppress(SystemExit):
        stop.ask()

    with pytest.raises(SystemExit):
        Watch(settings, ledger, STUDY_UID, time.monotonic() + 60, stop).until(lambda study: True, "sweep")


def test_a_stop_while_what_it_left_is_removed_waits_until_that_is_done(site: tuple[Settings, Ledger]) -> None:
    settings, ledger = site
    stop = Stop()

    def stop_it(outcome: StepOutcome) -> None:
        if outcome.step is SelfTestStep.REMOVAL:
            stop.ask()

    outcomes = run_selftest(settings, ledger, 1, stop_it, stop)

    assert [one.step for one in outcomes] == [SelfTestStep.EXPECTATION, SelfTestStep.REMOVAL]
    last = ledger.selftests.last(foundation.now())
    assert last is not None
    assert last.broken_step == "expectation"
