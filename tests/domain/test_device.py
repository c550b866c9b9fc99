from __future__ import annotations

from dataclasses import replace

import pytest

from dibmg_node.domain.device import ANY_DEVICE, Device, common_device, device_of, most_specific
from tests.factories import screening

SELENIA = Device("HOLOGIC, Inc.", "Selenia Dimensions", "AWS:1.8")


def test_a_device_belongs_to_its_model_its_manufacturer_and_all_devices() -> None:
    assert [str(one) for one in SELENIA.classes] == [
        "HOLOGIC, Inc. Selenia Dimensions, software AWS:1.8",
        "HOLOGIC, Inc. Selenia Dimensions",
        "HOLOGIC, Inc.",
        "",
    ]


def test_a_manufacturer_that_nobody_sees_is_none() -> None:
    assert Device("\u200b", "Unit 1", "1.0").classes == (ANY_DEVICE,)
    assert Device("Maker", "\u200b ", "1.0").classes == (Device("Maker"), ANY_DEVICE)


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (SELENIA, "version"),
        (Device(" hologic, INC. ", "Selenia Dimensions ", "aws:1.8"), "version"),
        (replace(SELENIA, software="AWS:1.9"), "model"),
        (replace(SELENIA, model="3Dimensions"), "manufacturer"),
        (Device("SIEMENS", "Selenia Dimensions", "AWS:1.8"), "all"),
        (Device("", "Selenia Dimensions", "AWS:1.8"), "all"),
        (Device("HOLOGIC, Inc.", "", "AWS:1.8"), "manufacturer"),
    ],
)
def test_the_most_specific_entry_wins(device: Device, expected: str) -> None:
    names = ("version", "model", "manufacturer", "all")
    entries = {one.key: name for one, name in zip(SELENIA.classes, names, strict=True)}

    assert most_specific(entries, device) == expected


def test_without_an_entry_for_all_another_device_has_none() -> None:
    assert most_specific({SELENIA.key: 1}, Device("SIEMENS")) is None


@pytest.mark.parametrize(
    ("other", "common"),
    [
        (Device("hologic, inc.", "SELENIA DIMENSIONS", "aws:1.8"), SELENIA),
        (replace(SELENIA, software="AWS:1.9"), replace(SELENIA, software="")),
        (replace(SELENIA, model="3Dimensions"), Device("HOLOGIC, Inc.")),
        (Device("SIEMENS", "Selenia Dimensions", "AWS:1.8"), ANY_DEVICE),
        (ANY_DEVICE, ANY_DEVICE),
    ],
)
def test_images_of_several_devices_are_of_what_these_have_in_common(other: Device, common: Device) -> None:
    assert common_device([SELENIA, other]) == common


def test_a_device_is_what_the_headers_name_without_what_nobody_sees() -> None:
    images = [
        replace(one, manufacturer="Maker\x00 ", manufacturer_model="M" * 80, software_versions="1.0 2.0")
        for one in screening()
    ]

    assert device_of(images) == Device("Maker", "M" * 64, "1.0 2.0")


def test_no_images_are_of_no_device_in_particular() -> None:
    assert device_of([]) == ANY_DEVICE
