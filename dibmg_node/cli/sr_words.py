"""A Mammography CAD report in words, in a table, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.sr.cad_content import CadContent, CadFinding, LibraryImage, Performed


def printable(words: str) -> str:
    """Words of another's report without characters that could steer a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in words)


def content_lines(content: CadContent) -> Iterator[str]:
    """What stands above the table of findings."""
    maker = " ".join(filter(None, (content.manufacturer, content.model)))
    yield f"Mammography CAD SR {content.sop_uid}" + (f" by {maker}" if maker else "")
    yield f"summary: {_meaning(content.summary)}"
    yield f"detections: {_meaning(content.detections)}; analyses: {_meaning(content.analyses)}"
    for image in content.images.values():
        modifiers = "".join(f", {one}" for one in image.modifiers)
        yield f"image {image.number or '-'}: {image.name}{modifiers}  {image.sop_uid}"
    for one in content.performed:
        yield _performed(one, content)
    for line in content.impression.splitlines():
        yield f"impression: {line}"
    if content.certainty is not None:
        yield f"certainty of impression: {content.certainty:g} %"
    for name, value in content.overall:
        yield f"{name}: {value}"
    if not content.findings:
        yield "no finding"


def finding_rows(content: CadContent) -> Iterator[tuple[str, ...]]:
    """A row of the table for each finding, numbered from 1."""
    numbers = {one.path: str(number) for number, one in enumerate(content.findings, start=1)}
    for one in content.findings:
        images = [content.images[uid].name for uid in images_of(one, content)]
        made_of = [numbers.get(path, path) for path in one.parts]
        kind = [one.kind.meaning or one.kind.value]
        kind += [f"of {', '.join(made_of)}"] if made_of else []
        kind += [f"{name}: {value}" for name, value in one.properties]
        center, outline = one.center, one.outline
        yield (
            numbers[one.path],
            "; ".join(kind),
            " ".join(images),
            "" if one.certainty is None else f"{one.certainty:g} %",
            "" if one.probability is None else f"{one.probability:g} %",
            one.intent or "",
            "" if center is None else f"{center[0]:g}, {center[1]:g}",
            "" if outline is None else f"{outline.kind} {len(outline.points)}",
        )


def images_of(finding: CadFinding, content: CadContent) -> tuple[str, ...]:
    """SOP Instance UIDs that a finding is on: its own, else those of its parts and their parts."""
    by_path = {one.path: one for one in content.findings}
    found: dict[str, None] = {}
    waiting, seen = [finding], {finding.path}
    while waiting:
        one = waiting.pop(0)
        found.update(dict.fromkeys(one.sop_uids))
        parts = [path for path in one.parts if path in by_path and path not in seen]
        seen.update(parts)
        waiting += [by_path[path] for path in parts]
    return tuple(found)


def content_json(content: CadContent) -> dict[str, Any]:
    """The whole report for programs; coordinates as they stand in it."""
    return {
        "sop_uid": content.sop_uid,
        "study_uid": content.study_uid,
        "manufacturer": content.manufacturer,
        "model": content.model,
        "summary": _code(content.summary),
        "detections": _code(content.detections),
        "analyses": _code(content.analyses),
        "impression": content.impression,
        "certainty": content.certainty,
        "overall": [{"name": name, "value": value} for name, value in content.overall],
        "images": [_image(one) for one in content.images.values()],
        "findings": [_finding(number, one, content) for number, one in enumerate(content.findings, start=1)],
        "performed": [
            {
                "kind": "detection" if one.is_detection else "analysis",
                "what": _code(one.what),
                "succeeded": one.succeeded,
                "algorithm": None if one.algorithm is None else str(one.algorithm),
                "sop_uids": list(one.sop_uids),
            }
            for one in content.performed
        ],
        "remarks": list(content.remarks),
    }


def _finding(number: int, one: CadFinding, content: CadContent) -> dict[str, Any]:
    uids = images_of(one, content)
    images = [content.images[uid] for uid in uids]
    outline = one.outline
    return {
        "number": number,
        "path": one.path,
        "composite": one.composite,
        "type": _code(one.kind),
        "views": [image.name for image in images],
        "laterality": _sides(images),
        "certainty": one.certainty,
        "probability": one.probability,
        "intent": one.intent,
        "center": None if one.center is None else list(one.center),
        "outline": None if outline is None else [list(point) for point in outline.points],
        "shapes": [
            {
                "name": shape.name,
                "kind": shape.kind,
                "points": [list(point) for point in shape.points],
                "sop_uid": shape.sop_uid or None,
            }
            for shape in one.shapes
        ],
        "sop_uids": list(uids),
        "algorithm": None if one.algorithm is None else str(one.algorithm),
        "tracking_uid": one.tracking_uid or None,
        "parts": list(one.parts),
        "properties": [{"name": name, "value": value} for name, value in one.properties],
    }


def _image(image: LibraryImage) -> dict[str, Any]:
    return {
        "number": image.number,
        "sop_uid": image.sop_uid,
        "sop_class_uid": image.sop_class_uid,
        "laterality": None if image.laterality is None else image.laterality.value,
        "view": None if image.view is None else image.view.value,
        "modifiers": list(image.modifiers),
        "columns": None if image.size is None else image.size[0],
        "rows": None if image.size is None else image.size[1],
    }


def _sides(images: Sequence[LibraryImage]) -> str | None:
    """R, L, B for findings over both breasts, None where no image says."""
    sides = {image.laterality.value for image in images if image.laterality is not None}
    return sides.pop() if len(sides) == 1 else ("B" if sides else None)


def _performed(one: Performed, content: CadContent) -> str:
    kind = "detection" if one.is_detection else "analysis"
    images = [content.images[uid].name if uid in content.images else uid for uid in one.sop_uids]
    by = "" if one.algorithm is None else f" by {one.algorithm}"
    outcome = "succeeded" if one.succeeded else "FAILED"
    return f"{kind} {outcome}: {_meaning(one.what)}{by} on {', '.join(images) or 'no image that is named'}"


def _meaning(code: Code | None) -> str:
    return "not stated" if code is None else code.meaning or code.value


def _code(code: Code | None) -> dict[str, str] | None:
    return None if code is None else dict(code._asdict())
