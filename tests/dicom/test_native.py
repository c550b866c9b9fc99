from __future__ import annotations

import json
from xml.etree import ElementTree

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dibmg_node.dicom.native import one_to_json, to_json, to_xml


def dataset() -> Dataset:
    one = Dataset()
    one.SpecificCharacterSet = "ISO_IR 100"
    one.PatientName = "Müller^Anna^^Dr="
    one.Rows = 5
    one.ImageType = ["ORIGINAL", "PRIMARY"]
    one.AccessionNumber = ""
    one.ICCProfile = b"\1\2"
    item = Dataset()
    item.CodeValue = "a<b"
    one.ViewCodeSequence = Sequence([item])
    return one


def test_json_is_an_array_or_one_object_in_utf_8() -> None:
    array, one = json.loads(to_json([dataset()])), json.loads(one_to_json(dataset()))

    assert array == [one]
    assert one["00080005"]["Value"] == ["ISO_IR 192"]
    assert one["00100010"]["Value"][0]["Alphabetic"] == "Müller^Anna^^Dr"


def test_xml_holds_names_in_parts_items_and_binary() -> None:
    root = ElementTree.fromstring(to_xml(dataset()).decode())

    space = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
    found = {one.get("keyword"): one for one in root.findall(f"{space}DicomAttribute")}
    name = {part.tag.removeprefix(space): part.text for part in found["PatientName"].iter() if part.text}
    assert root.tag == f"{space}NativeDicomModel"
    assert name == {"FamilyName": "Müller", "GivenName": "Anna", "NamePrefix": "Dr"}
    assert [value.text for value in found["ImageType"]] == ["ORIGINAL", "PRIMARY"]
    assert [value.get("number") for value in found["ImageType"]] == ["1", "2"]
    assert (found["Rows"].get("tag"), found["Rows"].get("vr")) == ("00280010", "US")
    assert found["ViewCodeSequence"].findtext(f"{space}Item/{space}DicomAttribute/{space}Value") == "a<b"
    assert found["ICCProfile"].findtext(f"{space}InlineBinary") == "AQI="
    assert list(found["AccessionNumber"]) == []
