from __future__ import annotations

import threading
from pathlib import Path

from dibmg_node.config import load_settings
from dibmg_node.roles.life import beating
from dibmg_node.storage.ledger import Ledger
from dibmg_node.wiring.role_choice import Role


def test_a_process_gives_signs_of_life_whatever_went_wrong_at_one(tmp_path: Path, ledger: Ledger) -> None:
    config = tmp_path / "config.toml"
    config.write_text("")
    errors = [ValueError("nobody expects it")]
    beaten = threading.Event()

    def beside() -> None:
        if errors:
            raise errors.pop()
        beaten.set()

    with beating(load_settings(config), ledger, Role.SWEEP, beside=beside, every_seconds=0.01):
        assert beaten.wait(10)
