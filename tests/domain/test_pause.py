from __future__ import annotations

import pytest

from dibmg_node.domain.pause import Part, Pause
from tests.factories import START


@pytest.mark.parametrize(
    ("pause", "sentence"),
    [
        (
            Pause(Part.DESTINATION, "pacs", START, "anna", "upgrade"),
            f"destination pacs is paused since {START.isoformat()} by anna: upgrade",
        ),
        (Pause(Part.INTAKE, "", START, "", ""), f"intake is paused since {START.isoformat()}"),
    ],
)
def test_a_pause_says_what_is_paused_since_when_by_whom_and_why(pause: Pause, sentence: str) -> None:
    assert pause.sentence == sentence
