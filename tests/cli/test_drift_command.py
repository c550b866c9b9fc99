"""`dibmg drift` and `dibmg drift baseline` on a ledger with many exams."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dibmg.reference_scores import ReferenceScores
from dibmg.weights import load_weights
from dibmg_node.cli.main import cli
from dibmg_node.domain.device import Device
from dibmg_node.domain.score_reference import ranked
from dibmg_node.storage.ledger import Ledger
from tests.factories import START, new_ledger
from tests.model.factories_points import RATE, write_points
from tests.storage.scored_exams import enter_exams

WEIGHTS = load_weights("default")


def scores(n: int, seed: int, shift: float = 0.0) -> list[float]:
    logits = np.random.default_rng(seed).normal(shift - 1.0, 1.0, n)
    return [float(score) for score in 1.0 / (1.0 + np.exp(-logits))]


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """Of a node with the default configuration in the working folder."""
    (tmp_path / "var").mkdir()
    (tmp_path / "config.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    ledger = new_ledger(tmp_path / "var")
    yield ledger
    ledger.engine.dispose()


def enter(ledger: Ledger, given: list[float], begin: datetime = START) -> datetime:
    return enter_exams(ledger, given, begin, weights=WEIGHTS.sha256) + timedelta(minutes=1)


def dibmg(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_a_device_that_drifts_is_told_with_exit_code_1_and_makes_the_node_degraded(ledger: Ledger) -> None:
    behind = enter(ledger, scores(300, 1))
    fixed = dibmg("drift", "baseline", "--exams", "300", "--json")
    enter(ledger, scores(250, 2, 0.8), behind)

    found, status = dibmg("drift", "--json"), dibmg("status", "--json")

    assert fixed.exit_code == 0
    assert json.loads(fixed.stdout)["version"] == 1
    assert found.exit_code == 1
    (device,) = json.loads(found.stdout)["devices"]
    assert (device["state"], device["exams"], device["model"]) == ("drift", 250, "Unit 1")
    told = [one for one in json.loads(status.stdout)["reasons"] if one.startswith("drift: Maker Unit 1")]
    assert told == [f"drift: {device['sentence']}"]


def test_the_same_distribution_ends_with_exit_code_0_and_leaves_the_node_alone(ledger: Ledger) -> None:
    behind = enter(ledger, scores(300, 1))
    dibmg("drift", "baseline", "--exams", "300")
    enter(ledger, scores(250, 2), behind)

    found, status, told = dibmg("drift"), dibmg("status", "--json"), dibmg("status").stdout

    assert "drift     devices: 1 with no drift; reference baseline 1 of this node" in told
    assert found.exit_code == 0
    assert "Maker Unit 1 1.0 2.0" in found.stdout
    assert "no drift" in found.stdout
    assert not any("drift" in one for one in json.loads(status.stdout)["reasons"])


def test_the_reference_of_the_file_of_operating_points_holds_until_there_is_a_baseline(
    ledger: Ledger, tmp_path: Path
) -> None:
    reference = ReferenceScores(None, None, None, 1000, ranked(scores(1000, 3)), RATE)
    write_points(tmp_path, WEIGHTS, reference=(reference,))
    (tmp_path / "config.toml").write_text("[model]\noperating_point = './operating-points.json'\n")
    enter(ledger, scores(250, 4, 0.8))

    found = json.loads(dibmg("drift", "--json").stdout)

    assert found["reference"].startswith("operating points specificity-0.90 2026-03-01-")
    assert [one["state"] for one in found["devices"]] == ["drift"]


def test_the_audit_trail_tells_who_fixed_which_baseline_for_which_weights(ledger: Ledger) -> None:
    enter(ledger, scores(300, 1))
    dibmg("drift", "baseline")

    lines = json.loads(dibmg("audit", "show", "--json").stdout)

    (told,) = lines
    assert (told["event"], told["type"]) == ("110100", "baseline")
    assert told["description"] == f"baseline 1 for weights {WEIGHTS.sha256[:12]}, exams: 300 of all devices"
    assert told["participants"][0]["user"] == getpass.getuser()


def test_the_audit_trail_tells_the_exams_of_each_device(ledger: Ledger) -> None:
    behind = enter(ledger, scores(250, 1))
    other = Device("Maker", "Unit 2", "1.0")
    enter_exams(ledger, scores(220, 2), behind, device=other, weights=WEIGHTS.sha256)

    dibmg("drift", "baseline")

    (told,) = json.loads(dibmg("audit", "show", "--json").stdout)
    assert told["description"].endswith(
        ", exams: 470 of all devices, 250 of Maker Unit 1, 220 of Maker Unit 2"
    )


def test_a_baseline_of_too_few_exams_is_refused(ledger: Ledger) -> None:
    enter(ledger, scores(199, 5))

    ended = dibmg("drift", "baseline")

    assert ended.exit_code == 1
    assert "fewer than 200 exams (drift.minimum_exams)" in ended.output
    assert not list(Path("var/audit").glob("*.jsonl"))


def test_a_node_without_exams_says_so(ledger: Ledger) -> None:
    ended = dibmg("drift")

    assert ended.exit_code == 0
    assert "no exam was read by these weights yet" in ended.stdout
