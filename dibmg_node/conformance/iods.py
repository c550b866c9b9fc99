"""Annex A.A: what stands in the objects that the node creates, and what it uses of those it receives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.tag import Tag
from pydicom.uid import UID

from dibmg_node.conformance.markdown import code, table
from dibmg_node.conformance.provenance import Origin, Written, written_attributes
from dibmg_node.conformance.specimens import specimens
from dibmg_node.conformance.standard import requirement
from dibmg_node.conformance.watched import AttributePath
from dibmg_node.domain.result import ResultKind

_TITLES = ("Attribute", "Tag", "VR", "Module", "Type", "Presence", "Source", "Value, or what it depends on")


def created_classes() -> dict[ResultKind, str]:
    """SOP class of each kind of result."""
    return {
        result.kind: result.sop_class_uid for specimen in specimens().all for result, _ in specimen.results
    }


def created_syntaxes() -> dict[ResultKind, str]:
    """Transfer syntax that each kind of result is written in."""
    return {
        result.kind: result.transfer_syntax_uid
        for specimen in specimens().all
        for result, _ in specimen.results
    }


def iod_tables() -> str:
    """A section with the attributes that all kinds share, and one for each kind with the others."""
    classes = created_classes()
    rows = {kind: _rows(kind, uid) for kind, uid in classes.items()}
    shared = [row for row in next(iter(rows.values())) if all(row in some for some in rows.values())]
    parts = ["### A.A.1 Attributes that all created objects share", table(_TITLES, shared)]
    for number, (kind, uid) in enumerate(sorted(classes.items()), start=2):
        parts.append(f"### A.A.{number} {UID(uid).name} ({kind.value})")
        parts.append(table(_TITLES, [row for row in rows[kind] if row not in shared]))
    return "\n\n".join(parts)


def received_table() -> str:
    """Attributes of received images that the node looks at, and what for."""
    looked = specimens().looked
    copied = {
        one.path[-1] for kind in ResultKind for one in written_attributes(kind) if one.origin is Origin.COPIED
    }
    used = {
        "facts of the image": looked.at_the_door,
        "pixels and window": looked.for_pixels,
        "values of results": {path for path in looked.at_the_door if path[-1] in copied} | looked.for_results,
    }
    paths = sorted({path for some in used.values() for path in some}, key=_tags)
    return table(
        ("Attribute", "Tag", "VR", "Used for"),
        (
            (
                _name(path),
                _tag(path[-1]),
                dictionary_VR(path[-1]),
                _listed(w for w, some in used.items() if path in some),
            )
            for path in paths
        ),
    )


def _rows(kind: ResultKind, sop_class_uid: str) -> list[Sequence[str]]:
    return [_row(one, sop_class_uid) for one in written_attributes(kind)]


def _row(one: Written, sop_class_uid: str) -> Sequence[str]:
    module, kind = requirement(sop_class_uid, one.path)
    told = code("; ".join(one.values)) if one.origin is Origin.FIXED else _listed(one.causes)
    if one.origin is Origin.COPIED and not one.causes:
        told = "the image that it is of"
    origin = one.origin.value if one.origin else ""
    return (_name(one.path), one.tag, one.vr, module, kind, one.presence.value, origin, told)


def _name(path: AttributePath) -> str:
    return ">" * (len(path) - 1) + path[-1]


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


def _tags(path: AttributePath) -> list[int]:
    return [tag_for_keyword(keyword) or 0 for keyword in path]


def _tag(keyword: str) -> str:
    tag = Tag(keyword)
    return f"({tag.group:04X},{tag.element:04X})"
