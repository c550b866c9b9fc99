"""What a STOW-RS server says of each instance: the Store Instances Response Module, in JSON or XML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree import ElementTree

from dibmg_node.errors import PeerRefusedError, RetryableError

_REFERENCED: Final = "00081199"  # Referenced SOP Sequence
_FAILED: Final = "00081198"  # Failed SOP Sequence
_OTHER_FAILURES: Final = "0008119A"  # Other Failures Sequence
_SOP_UID: Final = "00081155"  # Referenced SOP Instance UID
_FAILURE_REASON: Final = "00081197"
_WARNING_REASON: Final = "00081196"
_RETRIEVE_URL: Final = "00081190"
_SEQUENCES: Final = frozenset({_REFERENCED, _FAILED, _OTHER_FAILURES})
_ATTRIBUTES: Final = _SEQUENCES | {_RETRIEVE_URL}

ACCEPT: Final = "application/dicom+json, application/dicom+xml;q=0.5"
_JSON_TYPES: Final = frozenset({"application/dicom+json", "application/json"})
_XML_TYPES: Final = frozenset({"application/dicom+xml", "application/xml", "text/xml"})

_Item = Mapping[str, tuple[str, ...]]
"""Values of an item's attributes as text, by tag."""


class AnswerUnreadableError(RetryableError):
    """The body is broken: not what its Content-Type says."""


class NoStoreAnswerError(PeerRefusedError):
    """The body is not what a STOW-RS server answers with."""


@dataclass(frozen=True)
class StoreAnswer:
    """What became of each instance, by SOP Instance UID.

    Attributes:
        stored: With the Warning Reason, None where there was none.
        failed: With the Failure Reason, None where there was none.
        other_failures: Reasons of failures that the server could assign to no instance.
    """

    stored: Mapping[str, int | None] = field(default_factory=dict)
    failed: Mapping[str, int | None] = field(default_factory=dict)
    other_failures: tuple[int | None, ...] = ()


def read_answer(content_type: str, body: bytes) -> StoreAnswer:
    """Read the body of a STOW-RS answer; an empty one names nothing.

    Args:
        content_type: The header as it came.
        body: Of a size that the caller limits.

    Raises:
        AnswerUnreadableError: The body is no JSON, no XML, or has a document type or another structure.
        NoStoreAnswerError: The body is neither JSON nor XML by its type: a login page, say.

    Source: PS3.18 I.2, F.2; PS3.19 A.1.
    """
    if not body.strip():
        return StoreAnswer()
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in _JSON_TYPES:
        sequences = _read_json(body)
    elif media_type in _XML_TYPES:
        sequences = _read_xml(body)
    else:
        raise NoStoreAnswerError("neither DICOM JSON nor XML")
    # a gateway's own words about itself are JSON or XML as well; a data set without attributes says nothing
    if sequences and not sequences.keys() & _ATTRIBUTES:
        raise NoStoreAnswerError("none of the attributes of a store's answer in it")
    return StoreAnswer(
        stored=_by_uid(sequences.get(_REFERENCED, ()), _WARNING_REASON),
        failed=_by_uid(sequences.get(_FAILED, ()), _FAILURE_REASON),
        other_failures=tuple(
            _number(item.get(_FAILURE_REASON, ())) for item in sequences.get(_OTHER_FAILURES, ())
        ),
    )


def _by_uid(items: tuple[_Item, ...], reason: str) -> dict[str, int | None]:
    return {
        uid.strip(" \0"): _number(item.get(reason, ())) for item in items for uid in item.get(_SOP_UID, ())
    }


def _number(values: tuple[str, ...]) -> int | None:
    """A reason, 1 to 0xFFFF; None for one that says nothing."""
    try:
        number = int(values[0]) if values else 0
    except ValueError:
        return None
    return number if 0 < number <= 0xFFFF else None


def _read_json(body: bytes) -> dict[str, tuple[_Item, ...]]:
    try:
        content = json.loads(body)
        # PS3.18 F.2 asks for an array of data sets; Orthanc and others answer with the one data set
        (dataset,) = content if isinstance(content, list) else [content]
        return {
            tag: tuple(
                {inner: tuple(map(str, one.get("Value") or ())) for inner, one in _attributes(item)}
                for item in attribute.get("Value") or ()
            )
            if tag in _SEQUENCES
            else ()
            for tag, attribute in _attributes(dataset)
        }
    # RecursionError: nested too deep
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise AnswerUnreadableError("not DICOM JSON") from error


def _attributes(dataset: Any) -> Iterator[tuple[str, Any]]:
    return ((tag.upper(), attribute) for tag, attribute in dataset.items())


class _NoDoctype(ElementTree.TreeBuilder):
    """A tree of a document without a document type, and so without entities that could grow."""

    def doctype(self, name: str, public_id: str | None, system: str | None) -> None:
        raise AnswerUnreadableError("XML with a document type")


def _read_xml(body: bytes) -> dict[str, tuple[_Item, ...]]:
    try:
        root = ElementTree.fromstring(body, ElementTree.XMLParser(target=_NoDoctype()))
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # LookupError: unknown encoding
        raise AnswerUnreadableError("not XML") from error
    if root.tag.rpartition("}")[2] != "NativeDicomModel":
        raise NoStoreAnswerError("XML of another kind than PS3.19 A.1")
    return {
        tag: tuple(
            {
                inner: tuple(value.text or "" for value in one.findall("{*}Value"))
                for inner, one in _elements(item)
            }
            for item in attribute.findall("{*}Item")
        )
        for tag, attribute in _elements(root)
    }


def _elements(parent: ElementTree.Element) -> Iterator[tuple[str, ElementTree.Element]]:
    return ((one.get("tag", "").upper(), one) for one in parent.findall("{*}DicomAttribute"))
