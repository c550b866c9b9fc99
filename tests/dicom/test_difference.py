from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from dibmg_node.dicom.difference import differences
from tests.factories import mammogram, part10


def read(dataset: FileDataset) -> FileDataset:
    return dcmread(BytesIO(part10(dataset)))


def test_a_file_does_not_differ_from_itself() -> None:
    assert differences(read(mammogram()), read(mammogram())) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ImagerPixelSpacing": [0.2, 0.1]}, "ImagerPixelSpacing: [0.1, 0.1], now [0.2, 0.1]"),
        ({"SoftwareVersions": "2"}, "SoftwareVersions: ['1.0', '2.0'], now 2"),
        ({"PatientName": "Other^Woman"}, "PatientName"),
        ({"PatientWeight": "70"}, "PatientWeight: added"),
        ({"StudyID": None}, "StudyID: gone"),
    ],
)
def test_an_attribute_that_differs_is_named_and_its_value_told_where_it_names_nobody(
    changes: dict[str, Any], told: str
) -> None:
    found = differences(read(mammogram()), read(mammogram(**changes)))

    assert [str(one) for one in found] == [told]


def test_items_are_compared_in_depth_and_counted() -> None:
    other = mammogram()
    other.ViewCodeSequence[0].CodeMeaning = "changed"
    other.AcquisitionContextSequence = Sequence([Dataset()])

    found = [str(one) for one in differences(read(mammogram()), read(other))]

    assert found == ["AcquisitionContextSequence: 0 items, now 1", "ViewCodeSequence[1].CodeMeaning"]


def test_times_are_told_apart() -> None:
    found = differences(read(mammogram()), read(mammogram(ContentTime="090000", Rows=95)))

    assert [(one.path, one.is_time) for one in found] == [("ContentTime", True), ("Rows", False)]
