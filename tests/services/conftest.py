"""Results to send."""

from __future__ import annotations

import pytest

from dibmg_node.services.delivery import Parcel
from tests.services.parcels import make_parcels


@pytest.fixture
def parcels() -> list[Parcel]:
    """An overlay in RLE and a report."""
    return make_parcels()
