"""The course of a self-test whose steps break."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dibmg_node.config import load_settings
from dibmg_node.domain.selftest import SELFTEST_AET, SelfTestStep, StepOutcome
from dibmg_node.selftest.course import run_selftest
from dibmg_node.wiring import foundation
from tests.factories import PATIENCE, instance, new_ledger, received


def test_a_test_whose_files_cannot_be_removed_ends_and_says_so(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[model]\nweights = "gone"\n')
    settings = load_settings(config)
    settings.data_dir.mkdir()
    ledger, archive = new_ledger(settings.data_dir), foundation.open_archive(settings)

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
