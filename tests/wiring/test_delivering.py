"""The delivering side, made from settings."""

from __future__ import annotations

from pathlib import Path

from dibmg_node.config import load_settings
from dibmg_node.services.audit import SILENT
from dibmg_node.storage.ledger import Ledger
from dibmg_node.wiring.delivering import make_courier


def test_a_courier_knows_which_archive_is_that_of_the_ledger(tmp_path: Path, ledger: Ledger) -> None:
    (tmp_path / "config.toml").write_text("")
    settings = load_settings(tmp_path / "config.toml")
    ledger.marks.enter_archive("one")

    courier = make_courier(settings, ledger, SILENT, "delivery@a", lambda: False)

    assert courier.archive_identity == "one"
