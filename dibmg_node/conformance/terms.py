"""Annex A.E: the codes that are read and written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dibmg_node.conformance.markdown import table
from dibmg_node.dicom import codes, facts
from dibmg_node.dicom.codes import Code

_TITLES = ("Code value", "Coding scheme", "Code meaning")


def written_terms() -> str:
    """Every code that the node may write."""
    return table(_TITLES, sorted(set(_written())))


def received_terms() -> str:
    """Codes of views, modifiers and lateralities that are understood, with the retired ones."""
    views = [
        (sct, srt, meaning, f"view {view.value}") for sct, (view, srt, meaning) in facts.VIEW_CODES.items()
    ]
    modifiers = [
        (sct, srt, modifier.value, "view modifier") for sct, (modifier, srt) in facts.MODIFIER_CODES.items()
    ]
    sides = [(value, "", side.name.lower(), "laterality") for value, side in facts.LATERALITY_BY_CODE.items()]
    return table(
        ("SCT code value", "Retired SRT code value", "Meaning", "Understood as"), [*views, *modifiers, *sides]
    )


def _written() -> Iterator[Code]:
    for value in vars(codes).values():
        if isinstance(value, Code):
            yield value
        elif isinstance(value, Mapping):
            yield from (one for one in value.values() if isinstance(one, Code))
