"""The DICOMweb server: its resources, what they answer, and what can be searched for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dibmg_node.conformance.markdown import code, table
from dibmg_node.dicom.query import Level, names_told

_STORE: Final = "STOW-RS"
_SEARCH: Final = "QIDO-RS"
_RETRIEVE: Final = "WADO-RS"
_EVERY: Final = "all"


@dataclass(frozen=True)
class Resource:
    """One resource of the server."""

    service: str
    method: str
    path: str
    answer: str


_STUDY: Final = "/studies/{study}"
_SERIES: Final = f"{_STUDY}/series/{{series}}"
_INSTANCE: Final = f"{_SERIES}/instances/{{instance}}"
_JSON: Final = "application/dicom+json"
_FILES: Final = 'multipart/related; type="application/dicom"'

RESOURCES: Final = (
    *(Resource(_STORE, "POST", path, f"{_JSON}, application/dicom+xml") for path in ("/studies", _STUDY)),
    *(
        Resource(_SEARCH, "GET", path, _JSON)
        for path in (
            "/studies",
            "/series",
            "/instances",
            f"{_STUDY}/series",
            f"{_STUDY}/instances",
            f"{_SERIES}/instances",
        )
    ),
    *(Resource(_RETRIEVE, "GET", path, _FILES) for path in (_STUDY, _SERIES)),
    Resource(_RETRIEVE, "GET", _INSTANCE, f"{_FILES}, application/dicom"),
    *(Resource(_RETRIEVE, "GET", f"{path}/metadata", _JSON) for path in (_STUDY, _SERIES, _INSTANCE)),
)
"""Below `/dicom-web`; a test compares them with the routes of the application."""

ANSWERS: Final = (
    (200, _STORE, "every instance is stored, as safe as after a C-STORE"),
    (202, _STORE, "some are stored; the others stand in the Failed SOP or Other Failures Sequence"),
    (409, _STORE, "none is stored, for good"),
    (400, _STORE, "the body is no multipart body or ends early, the study of the path is no UID"),
    (408, _STORE, "the body stalls, or comes too slowly"),
    (411, _STORE, "a body with neither Content-Length nor chunks"),
    (413, _STORE, "more bytes or instances than allowed"),
    (415, _STORE, f"another type than {_FILES}, or an encoded body"),
    (
        503,
        _STORE,
        "an operator paused intake, too many requests at the same time, or the ledger does not answer; "
        "with Retry-After",
    ),
    (507, _STORE, "less disk is free than the reserve; with Retry-After"),
    (200, _SEARCH, "matches"),
    (204, _SEARCH, "no match"),
    (400, _SEARCH, "a parameter is unknown, or its value is none"),
    (503, _SEARCH, "the archive is away; with Retry-After"),
    (200, _RETRIEVE, "results"),
    (404, _RETRIEVE, "the node has no such result"),
    (503, _RETRIEVE, "the archive does not answer; with Retry-After"),
    (401, _EVERY, "a bearer token is asked for, and it is missing or wrong"),
    (403, _EVERY, "without a token: the request calls this machine by another name than its loopback names"),
    (406, _EVERY, "nothing that is accepted can be given"),
)
"""Statuses that the server chooses; a test looks for them in its code."""


def resource_table() -> str:
    """Resources, and the media types of their answers."""
    return table(
        ("Service", "Method", "Resource", "Media types of the answer, the default first"),
        ((one.service, one.method, code(f"/dicom-web{one.path}"), one.answer) for one in RESOURCES),
    )


def answer_table() -> str:
    """HTTP statuses, and what they mean."""
    return table(
        ("HTTP status", "Service", "When"), ((code(str(status)), *told) for status, *told in ANSWERS)
    )


def search_table() -> str:
    """What can be matched, and what is told of a match, by level."""
    return table(
        ("Level", "Matching keys", "Attributes told"),
        ((level.value, _keys(level), ", ".join(sorted(names_told(level)))) for level in Level),
    )


def _keys(level: Level) -> str:
    if level is Level.INSTANCE:
        return "any attribute that is no sequence"
    return ", ".join(sorted(level.keys))
