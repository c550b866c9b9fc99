"""The subject of a certificate as one line of text: `O=Clinic,CN=mg1`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

_SHORT: Final[Mapping[str, str]] = {
    "countryName": "C",
    "stateOrProvinceName": "ST",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "commonName": "CN",
    "domainComponent": "DC",
}
_ATTRIBUTE: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9.-]*)\s*=\s*((?:[^\\,]|\\.)*)")

_ESCAPE: Final = re.compile(r"\\(?:[\\,nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U000[0-9a-f]{5})")


def subject_text(attributes: Iterable[tuple[str, str]]) -> str:
    """Attributes in their order, as printable ASCII; a comma in a value cannot be taken for one between two.

    Args:
        attributes: Names as OpenSSL has them (`commonName`), and values.
    """
    return ",".join(f"{_SHORT.get(name, name)}={_escaped(value)}" for name, value in attributes)


def same_subject(one: str, other: str) -> bool:
    """Whether two texts name one subject, whatever the order and the blanks between attributes."""
    return _attributes(one) == _attributes(other) != []


def is_subject(text: str) -> bool:
    """Whether a text names attributes, `NAME=value` separated by commas."""
    return bool(_attributes(text))


def _attributes(text: str) -> list[tuple[str, str]]:
    """Sorted; empty for a text that is no subject."""
    found, place = [], 0
    while (match := _ATTRIBUTE.match(text, place)) is not None:
        name, value = match.groups()
        found.append((name.upper(), _escaped(_unescaped(value.strip()))))
        place = match.end()
        if place == len(text):
            return sorted(found)
        place += 1  # a comma: nothing else ends a value
    return []


def _escaped(value: str) -> str:
    special = re.sub(r"[\\,]", lambda found: "\\" + found.group(), value)
    visible = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in special)
    return visible.encode("ascii", "backslashreplace").decode()


def _unescaped(value: str) -> str:
    def plain(found: re.Match[str]) -> str:
        escape = found.group()
        return escape[1] if escape[1] in "\\," else escape.encode().decode("unicode_escape")

    return _ESCAPE.sub(plain, value)
