"""Media types: what a request carries, and what its sender accepts. Source: RFC 9110 12.5.1, PS3.18 8.7."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from python_multipart.multipart import parse_options_header

JSON: Final = "application/dicom+json"
XML: Final = "application/dicom+xml"
DICOM: Final = "application/dicom"
MULTIPART: Final = "multipart/related"
ANY_SYNTAX: Final = "*"


@dataclass(frozen=True)
class MediaType:
    """A media type with its parameters, names and type in lower case."""

    name: str
    parameters: dict[str, str]

    @property
    def quality(self) -> float:
        """Weight, 0..1; 1 where none is given or it is none."""
        try:
            return min(1.0, max(0.0, float(self.parameters.get("q", "1"))))
        except ValueError:
            return 1.0


def read_media_type(text: str) -> MediaType:
    """One media type, as in Content-Type."""
    name, parameters = parse_options_header(text)
    decoded = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in parameters.items()}
    return MediaType(name.decode("latin-1"), decoded)


def read_accept(text: str) -> list[MediaType]:
    """What is accepted, most wanted first; what has weight 0 is left out."""
    types = [read_media_type(part) for part in _parts(text) if part.strip()]
    return sorted((one for one in types if one.quality > 0), key=lambda one: -one.quality)


def choose(accept: str, offered: tuple[str, ...]) -> str | None:
    """The type of an answer.

    Args:
        accept: The header; empty: anything.
        offered: The default first.

    Returns:
        The first of what is accepted that is offered; None where nothing is.
    """
    for wanted in read_accept(accept or "*/*"):
        for one in offered:
            if wanted.name in (one, "*/*", f"{one.partition('/')[0]}/*"):
                return one
            if wanted.name == "application/json" and one == JSON:
                return one
    return None


def _parts(text: str) -> list[str]:
    """Split at commas that are outside quotes."""
    parts, quoted = [""], False
    for letter in text:
        quoted ^= letter == '"'
        if letter == "," and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
