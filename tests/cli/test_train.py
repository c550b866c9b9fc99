"""`dibmg train` without training: what it says before it starts. The training itself is in tests/flow."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dibmg.data.manifest import ManifestError
from dibmg_node.cli.main import cli
from dibmg_node.errors import ConfigError, RejectedError, WeightsError
from tests.model.training.factories_training import picture_manifest


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["train", *map(str, arguments)])


def test_an_unknown_key_of_the_plan_stops_it_before_an_image_is_read(tmp_path: Path) -> None:
    done = run("--manifest", tmp_path / "none.csv", "--out", tmp_path / "run", "--set", "epoch=3")

    assert isinstance(done.exception, ConfigError)
    assert "epoch: unknown" in done.exception.complaints[0]


def test_weights_to_start_from_that_are_not_there_stop_it(tmp_path: Path) -> None:
    done = run("--manifest", tmp_path / "none.csv", "--out", tmp_path / "run", "--initial", "missing")

    assert isinstance(done.exception, WeightsError)


def test_missing_images_of_the_validation_are_named_before_any_is_read(tmp_path: Path) -> None:
    manifests = []
    for name in ("training", "validation"):
        (tmp_path / name).mkdir()
        manifests.append(picture_manifest(tmp_path / name))
    missing = [row.path for row in manifests[1].rows[2:]]
    for path in missing:
        path.unlink()

    done = run(
        *("--manifest", manifests[0].path, "--validation", manifests[1].path, "--out", tmp_path / "run"),
    )

    assert isinstance(done.exception, ManifestError)
    assert [line.rpartition(" ")[2] for line in done.exception.complaints] == [str(path) for path in missing]
    assert not (tmp_path / "run").exists()


def test_a_woman_in_training_and_validation_stops_it(tmp_path: Path) -> None:
    path = picture_manifest(tmp_path).path

    done = run("--manifest", path, "--validation", path, "--out", tmp_path / "run")

    assert isinstance(done.exception, RejectedError)
    assert not (tmp_path / "run" / "weights").exists()


@pytest.mark.parametrize("label", ["normal", "cancer"])
def test_one_class_alone_is_nothing_to_learn_from(tmp_path: Path, label: str) -> None:
    path = picture_manifest(tmp_path).path
    lines = path.read_text().splitlines()
    exam = "0" if label == "normal" else "1"
    path.write_text(
        "\n".join([lines[0], *(line for line in lines[1:] if line.startswith(f"{exam},"))]) + "\n"
    )

    done = run(
        "--manifest", path, "--out", tmp_path / "run", "--set", "preset=fine", "--set", "input_size=64"
    )

    assert isinstance(done.exception, RejectedError)
    assert "examples have a cancer" in str(done.exception)
