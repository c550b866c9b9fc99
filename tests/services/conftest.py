"""Results to send, and an audit trail to look into."""

from __future__ import annotations

from pathlib import Path

import pytest

from dibmg_node.services.delivery import Parcel
from tests.factories import Clock
from tests.services.audit_trail import AuditTrail, new_audit
from tests.services.parcels import make_parcels


@pytest.fixture
def parcels() -> list[Parcel]:
    """An overlay in RLE and a report."""
    return make_parcels()


@pytest.fixture
def trail(tmp_path: Path, clock: Clock) -> AuditTrail:
    return new_audit(tmp_path, clock)
