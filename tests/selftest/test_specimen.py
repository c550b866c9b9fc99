"""The exam that is drawn for the self-test, read by the weights that come with the node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dibmg.weights import list_weights
from dibmg_node.cli.main import cli
from dibmg_node.selftest.agreement import sees_lesion
from dibmg_node.selftest.specimen import make_specimen


@pytest.mark.parametrize("weights", list_weights())
def test_every_released_set_is_hottest_inside_the_lesion(weights: str, tmp_path: Path) -> None:
    specimen = make_specimen("2.25.7")
    (tmp_path / "in").mkdir()
    for key, image in specimen.images.items():
        (tmp_path / "in" / f"{key}.dcm").write_bytes(image.content)

    arguments = ["analyze", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--weights", weights]
    told = CliRunner().invoke(cli, arguments, catch_exceptions=False)

    assert told.exit_code == 0
    assert sees_lesion(json.loads((tmp_path / "out" / "2.25.7" / "result.json").read_text()), specimen)
