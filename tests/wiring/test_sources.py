from __future__ import annotations

import pytest

from dibmg_node.config import Settings
from dibmg_node.wiring.sources import longest_fetched


@pytest.mark.parametrize(("intake_gb", "longest"), [(4, 2**30), (0.5, 2**29)])
def test_an_instance_that_is_fetched_has_no_more_than_memory_should_hold(
    intake_gb: float, longest: int
) -> None:
    settings = Settings.model_validate({"intake": {"max_instance_gb": intake_gb}})

    assert longest_fetched(settings) == longest
