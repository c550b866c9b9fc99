"""Data sets as JSON and as XML, for DICOMweb. Source: PS3.18 Annex F; PS3.19 A.1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final
from xml.etree import ElementTree

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

_NAME_PARTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_CHARACTER_SET: Final = "00080005"
_NAMESPACE: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"


def to_json(datasets: Sequence[Dataset]) -> bytes:
    """DICOM JSON: an array with an object for each data set."""
    return json.dumps([_model(dataset) for dataset in datasets], ensure_ascii=False).encode()


def one_to_json(dataset: Dataset) -> bytes:
    """DICOM JSON of one data set: an object, as the answer to STOW-RS is one (PS3.18 10.5.3.3)."""
    return json.dumps(_model(dataset), ensure_ascii=False).encode()


def to_xml(dataset: Dataset) -> bytes:
    """Native DICOM Model of one data set."""
    root = ElementTree.Element("NativeDicomModel", {"xmlns": _NAMESPACE, "xml:space": "preserve"})
    _append(root, _model(dataset))
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content


def _model(dataset: Dataset) -> dict[str, Any]:
    # an attribute that cannot be written so is left out: the others are still worth having
    model: dict[str, Any] = dataset.to_json_dict(suppress_invalid_tags=True)
    if _CHARACTER_SET in model:
        model[_CHARACTER_SET]["Value"] = ["ISO_IR 192"]  # that of the text around it, PS3.18 F.2
    return model


def _append(parent: ElementTree.Element, model: dict[str, Any]) -> None:
    for tag, attribute in sorted(model.items()):
        place = {"tag": tag, "vr": attribute["vr"]}
        keyword = keyword_for_tag(int(tag, 16))
        if keyword:
            place["keyword"] = keyword
        element = ElementTree.SubElement(parent, "DicomAttribute", place)
        if "InlineBinary" in attribute:
            ElementTree.SubElement(element, "InlineBinary").text = attribute["InlineBinary"]
        for number, value in enumerate(attribute.get("Value", ()), start=1):
            _append_value(element, attribute["vr"], str(number), value)


def _append_value(element: ElementTree.Element, vr: str, number: str, value: Any) -> None:
    if vr == "SQ":
        _append(ElementTree.SubElement(element, "Item", {"number": number}), value or {})
    elif vr == "PN":
        person = ElementTree.SubElement(element, "PersonName", {"number": number})
        for representation, text in (value or {}).items():
            group = ElementTree.SubElement(person, representation)
            for part, component in zip(_NAME_PARTS, text.split("^"), strict=False):
                if component:
                    ElementTree.SubElement(group, part).text = component
    else:
        text = "" if value is None else str(value)
        ElementTree.SubElement(element, "Value", {"number": number}).text = text
