"""`dibmg evaluate`: a manifest in, a report out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dibmg.data.manifest import ManifestError, read_manifest, write_manifest
from dibmg_node.cli.main import cli
from tests.model.evaluation.factories_evaluation import write_seeing_weights, write_set


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_seeing_weights(tmp_path_factory.mktemp("weights") / "seeing")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("set"), 3, 4)


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments)], catch_exceptions=False)


def test_a_manifest_and_weights_give_report_page_scores_card_and_points(
    manifest: Path, weights: Path, tmp_path: Path
) -> None:
    result = evaluate("--manifest", manifest, "--out", tmp_path / "out", "--weights", weights)

    assert result.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "MODEL_CARD.md",
        "operating-points.json",
        "report.html",
        "report.json",
        "scores.csv",
    ]
    assert "7 exams of 7 patients, 3 with cancer, of manifest.csv" in result.stdout
    assert "research use only" in result.stdout


def test_a_perfect_order_is_told_beside_its_interval_without_width(
    manifest: Path, weights: Path, tmp_path: Path
) -> None:
    rows = read_manifest(manifest).rows
    write_manifest([rows[place] for place in (0, 2, 3, 4)], tmp_path / "few.csv")

    told = evaluate("--manifest", tmp_path / "few.csv", "--out", tmp_path, "--weights", weights).stdout

    words = re.sub(r"[^\w.();-]+", " ", told)  # the table folds what is long
    assert "AUC 1.000 (1.000-1.000); the interval has no width since the order is perfect" in words


def test_json_on_standard_output_is_the_report(manifest: Path, weights: Path, tmp_path: Path) -> None:
    result = evaluate(
        "--manifest", manifest, "--out", tmp_path, "--weights", weights, "--unit", "image", "--json"
    )

    assert json.loads(result.stdout) == json.loads((tmp_path / "report.json").read_text())


def test_every_option_is_taken(manifest: Path, weights: Path, tmp_path: Path) -> None:
    plain = ("--manifest", manifest, "--out", tmp_path, "--weights", weights)
    compared = ("--compare", weights, "--against", manifest, "--resample", "--exact")
    chosen = ("--operating-point", "default", "--target-specificity", "0.75", "--runtime", "openvino")

    result = evaluate(
        *plain, *compared, *chosen, "--seed", "3", "--view", "CC", "--precision", "f32", "--json"
    )

    report = json.loads(result.stdout)
    assert report["chosen"]["target_specificity"] == 0.75
    assert report["methods"] | {"auc": ""} == {"rates": "Clopper-Pearson", "auc": "", "seed": 3}
    assert report["comparison"]["models"] is not None
    assert report["comparison"]["sets"] is not None
    assert report["resampled"] is not None


def test_a_manifest_that_cannot_be_used_is_refused_before_anything_is_written(
    weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "manifest.csv").write_text("exam,patient\n1,2\n")

    with pytest.raises(ManifestError, match="column laterality is missing"):
        evaluate("--manifest", tmp_path / "manifest.csv", "--out", tmp_path / "out", "--weights", weights)

    assert not (tmp_path / "out").exists()


def test_a_seed_below_zero_is_a_wrong_command_line(tmp_path: Path) -> None:
    result = evaluate("--manifest", tmp_path / "none.csv", "--out", tmp_path / "out", "--seed", "-1")

    assert result.exit_code == 2
    assert "'--seed': -1 is not in the range x>=0" in result.stderr


def test_the_command_loads_no_statistics_before_it_runs() -> None:
    code = (
        "import sys, dibmg_node.cli.evaluate\n"
        "heavy = {'scipy', 'pandas', 'sklearn', 'statsmodels', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
