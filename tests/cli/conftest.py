from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dibmg_node.storage.ledger import Ledger
from tests.factories import new_ledger

_DESTINATION = (
    "[[destination]]\nname = 'pacs'\nkind = 'cstore'\naddress = '127.0.0.1'\nport = 1\nae_title = 'X'\n"
)


@pytest.fixture
def empty_site(tmp_path: Path) -> Iterator[tuple[Path, Ledger]]:
    """A folder with a configuration that has one destination, and the ledger of its node."""
    (tmp_path / "config.toml").write_text(_DESTINATION)
    (tmp_path / "var").mkdir()
    ledger = new_ledger(tmp_path / "var")
    yield tmp_path, ledger
    ledger.engine.dispose()
