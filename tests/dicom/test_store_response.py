from __future__ import annotations

import pytest

from dibmg_node.dicom.part10 import FileMeta
from dibmg_node.dicom.store_response import StoreOutcome, StoreSuccess, store_response, success_of

META = FileMeta("1.2.3", "1.2.3.4", "1.2.840.10008.1.2")


@pytest.mark.parametrize(
    ("statuses", "success"),
    [
        ([], StoreSuccess.NONE),
        ([0], StoreSuccess.ALL),
        ([0, 0xB000], StoreSuccess.SOME),
        ([0xB006], StoreSuccess.SOME),
        ([0, 0xC000], StoreSuccess.SOME),
        ([0xA700, 0xC000], StoreSuccess.NONE),
    ],
)
def test_success_is_all_some_or_none(statuses: list[int], success: StoreSuccess) -> None:
    assert success_of([StoreOutcome(META, status) for status in statuses]) is success


def test_a_warning_is_told_with_the_instance_that_was_stored() -> None:
    response = store_response([StoreOutcome(META, 0xB007)], "http://node/studies/1")

    (item,) = response.ReferencedSOPSequence
    assert (item.ReferencedSOPInstanceUID, item.WarningReason) == ("1.2.3.4", 0xB007)
    assert "FailedSOPSequence" not in response


def test_a_failure_is_told_with_what_is_known_of_its_instance() -> None:
    response = store_response([StoreOutcome(META, 0xA900), StoreOutcome(None, 0xC000)], "")

    (failed,), (other,) = response.FailedSOPSequence, response.OtherFailuresSequence
    assert (failed.ReferencedSOPClassUID, failed.FailureReason) == ("1.2.3", 0xA900)
    assert [element.keyword for element in other] == ["FailureReason"]
    assert "ReferencedSOPSequence" not in response
