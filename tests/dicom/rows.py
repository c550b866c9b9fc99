"""Content items of a report as lines that a test can compare."""

from __future__ import annotations


def walk(item, position=(1,)):
    """Every content item with its position, depth first."""
    yield position, item
    for index, child in enumerate(item.get("ContentSequence", []), start=1):
        yield from walk(child, (*position, index))


def name(item):
    return item.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in item else ""


def value(item):
    if "ConceptCodeSequence" in item:
        return item.ConceptCodeSequence[0].CodeValue
    if "MeasuredValueSequence" in item:
        measured = item.MeasuredValueSequence[0]
        return f"{measured.NumericValue} {measured.MeasurementUnitsCodeSequence[0].CodeValue}"
    if "GraphicType" in item:
        return f"{item.GraphicType} {len(item.GraphicData) // 2}"
    for keyword in ("TextValue", "Date", "Time", "UID"):
        if keyword in item:
            return str(item[keyword].value)
    if "ReferencedSOPSequence" in item:
        return item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    return ""


def row(item):
    if "ReferencedContentItemIdentifier" in item:
        return f"{item.RelationshipType} -> {'.'.join(map(str, item.ReferencedContentItemIdentifier))}"
    parts = (item.get("RelationshipType", ""), item.ValueType, name(item), value(item))
    return " | ".join(part for part in parts if part)


def rows(item):
    """Direct children, one line each."""
    return [row(child) for child in item.get("ContentSequence", [])]


def child(item, meaning):
    found = [one for one in item.ContentSequence if "ValueType" in one and name(one) == meaning]
    assert len(found) == 1, f"{len(found)} x {meaning}"
    return found[0]


def every(report, meaning):
    return [item for _, item in walk(report) if "ValueType" in item and name(item) == meaning]
