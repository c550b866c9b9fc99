"""When the disk will be full."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dibmg_node.config import Settings
from dibmg_node.health.capacity import look_at_disk
from dibmg_node.health.condition import Health
from dibmg_node.health.conditions import hours_left
from dibmg_node.health.forecast import foresee
from dibmg_node.sections.intake import IntakeSection, NodeSection
from dibmg_node.sections.stores import ArchiveSection
from dibmg_node.storage.growth import Inflow
from dibmg_node.storage.receipts import Received
from tests.factories import PATIENCE, START, instance, new_archive, new_ledger

GB = 10**9
TEN_AN_HOUR = Inflow(10 * GB, timedelta(hours=1))


def test_the_reserve_is_reached_when_what_comes_has_filled_what_is_free() -> None:
    found = foresee(TEN_AN_HOUR, free=205 * GB, total=1000 * GB, reserve=5 * GB, high_water=85)

    assert (found["bytes_per_hour"], found["hours_until_reserve"], found["hours_until_purge"]) == (
        10 * GB,
        20.0,
        5.5,
    )
    assert found["told"] == (
        "10.0 GB an hour come in: the reserve is reached in about 20 h if nothing is purged; "
        "purging begins at 85 %, in about 6 h"
    )


@pytest.mark.parametrize(
    ("inflow", "free", "high_water", "told"),
    [
        (Inflow(0, timedelta(days=1)), 205, 85, "not filling: nothing came in within a day"),
        (TEN_AN_HOUR, 5, 100, "is reached now if nothing is purged; purging by high water is off"),
        (TEN_AN_HOUR, 100, 85, "in about 10 h if nothing is purged; purging begins at 85 %, now"),
        (
            Inflow(10**6, timedelta(hours=1)),
            6,
            100,
            "1.0 MB an hour come in: the reserve",
        ),
        (TEN_AN_HOUR, 965, 100, "in about 96 h (4 days)"),
    ],
)
def test_the_forecast_says_in_words_what_holds(
    inflow: Inflow, free: int, high_water: float, told: str
) -> None:
    found = foresee(inflow, free * GB, 1000 * GB, 5 * GB, high_water)

    assert told in found["told"]


@pytest.mark.parametrize(
    ("free", "high_water", "prevented"),
    [(150, 85, True), (140, 85, True), (139, 85, False), (140, 100, False)],
)
def test_purging_prevents_that_the_reserve_is_reached_while_the_disk_is_not_far_above_its_mark(
    free: int, high_water: float, prevented: bool
) -> None:
    found = foresee(TEN_AN_HOUR, free * GB, 1000 * GB, 5 * GB, high_water)

    assert found["prevented"] is prevented
    assert (hours_left(found) is None) is prevented


@pytest.mark.parametrize(("high_water", "warned"), [(100.0, True), (99.9, False)])
def test_a_disk_that_fills_within_a_day_is_a_complaint_where_no_purge_prevents_it(
    tmp_path: object, high_water: float, warned: bool
) -> None:
    settings = Settings(
        node=NodeSection(data_dir=tmp_path),
        intake=IntakeSection(reserve_gb=0.0),
        archive=ArchiveSection(high_water_percent=high_water),
    )
    settings.data_dir.mkdir(exist_ok=True)
    new_archive(settings.data_dir)
    ledger = new_ledger(settings.data_dir)
    ledger.receipts.store(Received(instance(), 10**17, 1, "MG1"), PATIENCE, START)
    health = Health()

    look_at_disk(settings, ledger, START, health)

    assert [" and no purge prevents it" in one for one in health.degraded] == [True] * warned
    ledger.engine.dispose()
