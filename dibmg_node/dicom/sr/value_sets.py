"""Codes compared across coding schemes, and the context groups that TID 4000 takes its values from.

Source: PS3.16, as pydicom's dictionary has it.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

from pydicom.sr._snomed_dict import mapping as snomed
from pydicom.sr.codedict import codes as dictionary

from dibmg_node.dicom.codes import Code

RETIRED_SCHEMES: Final = frozenset({"SRT", "SNM3", "99SDM"})
"""Designators of SNOMED's letters and digits, that SCT's numbers replaced. Source: PS3.16 chapter 8."""

_NOT_EXTENSIBLE: Final = frozenset({4014, 4015, 6034, 6035, 6036, 6042, 6047, 6048})
_SCHEMES: Final[dict[int, frozenset[str]]] = {
    # groups of whole standards: languages and countries
    5000: frozenset({"RFC5646", "RFC3066", "ISO639_1", "ISO639_2"}),
    5001: frozenset({"ISO3166_1", "ISO3166"}),
}
_ASSESSMENTS: Final = ("397138000", "397140005", "397141009", "397143007", "397144001", "397145000")
"""BI-RADS 0 to 5 of CID 6027, which pydicom's CID 6026 leaves out; 4A to 4C and 6 have the scheme BI."""


class Key(NamedTuple):
    """A code without its meaning, retired SNOMED codes turned into today's."""

    scheme: str
    value: str


def key_of(code: Code) -> Key:
    """What two codes share if they say the same."""
    if code.scheme in RETIRED_SCHEMES:
        today = snomed["SRT"].get(code.value)
        return Key("SCT", today) if today else Key("SRT", code.value)
    return Key(code.scheme, code.value)


def same(one: Code | None, other: Code) -> bool:
    """Whether two codes say the same, whatever their meanings."""
    return one is not None and key_of(one) == key_of(other)


def is_member(cid: int, code: Code) -> bool:
    """Whether a context group has a code."""
    if cid in _SCHEMES:
        return code.scheme in _SCHEMES[cid]
    if cid == 6026 and code.scheme == "BI":
        return True
    return key_of(code) in _members(cid)


def is_extensible(cid: int) -> bool:
    """Whether a report may use further codes where the group has none that fits."""
    return cid not in _NOT_EXTENSIBLE


def is_retired(code: Code) -> bool:
    """Whether a code is of a scheme that is no longer used."""
    return code.scheme in RETIRED_SCHEMES


@cache
def _members(cid: int) -> frozenset[Key]:
    concepts = getattr(dictionary, f"cid{cid}").concepts.values()
    members = {key_of(Code(one.value, one.scheme_designator, "")) for one in concepts}
    if cid == 6026:
        members |= {Key("SCT", value) for value in _ASSESSMENTS}
    return frozenset(members)
