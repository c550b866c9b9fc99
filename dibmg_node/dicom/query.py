"""A QIDO-RS query: its keys, what they match, and what is told of a match. Source: PS3.18 8.3.4, 10.6."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

LARGEST_LIMIT: Final = 1000
LONGEST_KEY: Final = 1024
"""Characters of a value to match, but in a list of UIDs: no name, and nothing else of a study, is longer."""
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_STUDY: Final = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyDescription",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
)
_OF_STUDY: Final = ("ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
_SERIES: Final = (
    "Modality",
    "SeriesDescription",
    "SeriesDate",
    "SeriesTime",
    "SeriesInstanceUID",
    "SeriesNumber",
    "BodyPartExamined",
    "Manufacturer",
)
_OF_SERIES: Final = ("NumberOfSeriesRelatedInstances",)
_INSTANCE: Final = (
    "SOPClassUID",
    "SOPInstanceUID",
    "InstanceNumber",
    "ContentDate",
    "ContentTime",
    "Rows",
    "Columns",
    "BitsAllocated",
    "NumberOfFrames",
)


class Level(Enum):
    """What is looked for, with the attributes that are told of it."""

    STUDY = "studies"
    SERIES = "series"
    INSTANCE = "instances"

    @property
    def keys(self) -> frozenset[str]:
        """Keywords that this level and those above it may be matched by; of an instance any may."""
        keys = {*_STUDY, *_OF_STUDY}
        if self is not Level.STUDY:
            keys |= {*_SERIES, *_OF_SERIES}
        return frozenset(keys)


@dataclass(frozen=True)
class Query:
    """What somebody looks for.

    Attributes:
        wanted: Value to match by keyword; none that everything matches.
        included: Keywords that are told beside those of the level.
        include_all: Everything is told.
    """

    wanted: Mapping[str, str] = field(default_factory=dict)
    included: frozenset[str] = frozenset()
    include_all: bool = False
    limit: int = 100
    offset: int = 0

    def uids(self, keyword: str) -> tuple[str, ...]:
        """UIDs that are asked for; empty: any. Source: PS3.4 C.2.2.2.2."""
        return tuple(filter(None, re.split(r"[,\\]", self.wanted.get(keyword, ""))))


def read_query(parameters: Iterable[tuple[str, str]], level: Level) -> Query:
    """Read the query part of a URL.

    Raises:
        ValueError: A parameter is unknown, or its value is none; the message names parameters, no values.
    """
    wanted: dict[str, str] = {}
    included: set[str] = set()
    numbers = {"limit": 100, "offset": 0}
    for name, value in parameters:
        if name in numbers:
            if not re.fullmatch(r"[0-9]{1,9}", value):
                raise ValueError(f"{name} is no number")
            numbers[name] = int(value)
        elif name == "includefield":
            included.update(part if part == "all" else _keyword(part) for part in value.split(",") if part)
        elif name != "fuzzymatching":  # literal matching is the answer to it as well (PS3.18 8.3.4.2)
            keyword = _keyword(name)
            if level is not Level.INSTANCE and keyword not in level.keys:
                raise ValueError(f"{keyword} is no key of {level.value}")
            if dictionary_VR(keyword) == "SQ":
                raise ValueError(f"{keyword} is a sequence, and cannot be matched")
            if len(value) > LONGEST_KEY and dictionary_VR(keyword) != "UI":
                raise ValueError(f"{keyword} has more than {LONGEST_KEY} characters")
            if value.strip("*"):  # a lone asterisk is universal matching, as no value is (PS3.4 C.2.2.2.4)
                wanted[keyword] = value
    return Query(
        wanted,
        frozenset(included - {"all"}),
        "all" in included,
        min(numbers["limit"], LARGEST_LIMIT),
        numbers["offset"],
    )


def matches(attributes: Dataset, wanted: Mapping[str, str]) -> bool:
    """Whether every key matches one of its attribute's values. Source: PS3.4 C.2.2.2."""
    return all(
        any(_matches_one(dictionary_VR(keyword), text, value) for text in _texts(attributes, keyword))
        for keyword, value in wanted.items()
    )


def told(attributes: Dataset, level: Level, query: Query, given: Iterable[Level]) -> Dataset:
    """What is told of a match.

    Args:
        attributes: Of the match, and of what it belongs to.
        level: What was looked for.
        query: With what is to be told beside the level's attributes.
        given: Levels whose UID stood in the path: their attributes are known to who asks.
    """
    names = names_told(level, given) | query.included
    chosen = Dataset()
    for element in attributes:
        if (query.include_all and level is Level.INSTANCE) or element.keyword in names:
            chosen.add(element)
    return chosen


def names_told(level: Level, given: Iterable[Level] = ()) -> frozenset[str]:
    """Keywords of what is told of a match that has it, whatever a query asks for beside them.

    Args:
        level: What was looked for.
        given: As for `told`.

    Source: PS3.18 10.6.3.3.
    """
    names = {"StudyInstanceUID", "RetrieveURL", "InstanceAvailability"}
    above = {Level.STUDY, Level.SERIES} - set(given)
    if level is Level.STUDY or Level.STUDY in above:
        names |= {*_STUDY, *_OF_STUDY}
    if level is Level.SERIES or (level is Level.INSTANCE and Level.SERIES in above):
        names |= {*_SERIES, *_OF_SERIES}
    if level is Level.INSTANCE:
        names |= {*_INSTANCE, "SeriesInstanceUID"}
    return frozenset(names)


def _keyword(name: str) -> str:
    """Keyword of an attribute that is named by its keyword or its tag."""
    known = keyword_for_tag(int(name, 16)) if _TAG.fullmatch(name) else name
    if not known or tag_for_keyword(known) is None:
        raise ValueError("a parameter is no attribute of DICOM's dictionary")
    return known


def _texts(attributes: Dataset, keyword: str) -> Sequence[str]:
    value = attributes.get(keyword)
    if value is None:
        return ()
    values = value if isinstance(value, MultiValue | list) else [value]
    return [str(one).strip() for one in values]


def _matches_one(vr: str, text: str, wanted: str) -> bool:
    if vr == "UI":
        return text in re.split(r"[,\\]", wanted)
    if vr in ("DA", "TM", "DT") and "-" in wanted:
        first, _, last = wanted.partition("-")
        # of a shorter time the whole second, minute or hour belongs to the range
        return bool(text) and text >= first and (not last or text <= last or text.startswith(last))
    return re.fullmatch(_pattern(wanted), text, re.IGNORECASE if vr == "PN" else 0) is not None


def _pattern(wanted: str) -> str:
    """A regular expression of a key with wildcards.

    What stands between two asterisks is found where it comes first, and nowhere else (atomic groups): trying
    other places would match nothing more, and take exponential time.
    """
    first, *others = (re.escape(piece).replace(r"\?", ".") for piece in re.split(r"\*+", wanted))
    if not others:
        return f"(?s:{first})"
    *between, last = others
    return f"(?s:{first}{''.join(f'(?>.*?{piece})' for piece in between)}.*{last})"
