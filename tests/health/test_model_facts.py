"""What `dibmg status` tells of the weights in use."""

from __future__ import annotations

from pathlib import Path

import pytest

from dibmg.weights import load_weights
from dibmg_node.config import load_settings
from dibmg_node.health.model_facts import model_facts


@pytest.mark.parametrize(("name", "whole"), [("default", 2), ("synthetic", 0)])
def test_networks_of_whole_breasts_are_counted_beside_those_of_places(
    name: str, whole: int, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(f'[model]\nweights = "{name}"\n')

    facts = model_facts(load_settings(tmp_path / "config.toml"), load_weights(name), None)

    assert (facts["members"], facts["whole_members"]) == (1, whole)
