"""Which attributes results have, whether always, and where each value comes from: by comparing specimens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from hashlib import sha256
from itertools import combinations
from typing import Any, Final, TypeAlias

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dibmg_node.conformance.specimens import Cause, Specimen, specimens
from dibmg_node.conformance.watched import AttributePath
from dibmg_node.domain.result import ResultKind

CONTENT_TREE: Final = frozenset({"ContentSequence"})
"""Not followed here: a content tree is told by its templates."""
_CODE: Final = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
_BULK: Final = frozenset({"OB", "OW", "OF", "OD", "OL", "OV", "UN"})


class Presence(StrEnum):
    """Whether an attribute is there, and has a value. Source: PS3.2 Annex N."""

    ALWAYS = "ALWAYS"
    EMPTY = "EMPTY"
    VALUE_NOT_ALWAYS = "VNAP"
    NOT_ALWAYS = "ANAP"


class Origin(StrEnum):
    """Where a value comes from."""

    FIXED = "FIXED"
    COPIED = "COPIED"
    CONFIGURED = "CONFIG"
    GENERATED = "AUTO"


@dataclass(frozen=True)
class Written:
    """One attribute of a kind of result; a code counts as the value of its sequence.

    Attributes:
        path: Keywords down to it.
        origin: None for a sequence of other items, and for what never has a value.
        causes: What its value, or that it is there at all, depends on.
        values: Distinct values of a FIXED one.
    """

    path: AttributePath
    tag: str
    vr: str
    presence: Presence
    origin: Origin | None
    causes: tuple[Cause, ...]
    values: tuple[str, ...]


@dataclass
class _Occurrences:
    """How often an attribute was there, and what it said, in the results of one specimen."""

    there: int
    missing: int
    empty: int
    vr: str
    tag: str
    values: list[str]


_Survey: TypeAlias = Mapping[AttributePath, _Occurrences]


@dataclass(frozen=True)
class _Seen:
    """What was seen in the results of one specimen.

    Attributes:
        said: Every value of the images that it was made from, by keyword, at any level.
    """

    specimen: Specimen
    survey: _Survey
    said: Mapping[str, Set[str]]


@cache
def written_attributes(kind: ResultKind) -> tuple[Written, ...]:
    """Attributes of one kind of result, in the order of their tags.

    A kind that a specimen does not have (a study that was not read has no overlay) is not compared there.
    """
    seen = [
        _Seen(one, _survey(one.of_kind(kind)), _said(one.sources))
        for one in specimens().all
        if one.of_kind(kind)
    ]
    paths = {path: occurrences for one in seen for path, occurrences in one.survey.items()}
    tags = {path: occurrences.tag for path, occurrences in paths.items()}
    order = sorted(paths, key=lambda path: [tags[path[: n + 1]] for n in range(len(path))])
    return tuple(_written(path, seen) for path in order)


def _written(path: AttributePath, seen: Sequence[_Seen]) -> Written:
    found = [one.survey[path] for one in seen if path in one.survey]
    causes = tuple(cause for cause in Cause if _depends(path, cause, seen))
    missing = any(_is_missing(path, one.survey) for one in seen)
    distinct = tuple(dict.fromkeys(value for one in found for value in one.values if value))
    origin = _origin(path, distinct, causes, seen)
    return Written(
        path,
        found[0].tag,
        found[0].vr,
        _presence(missing, sum(one.empty for one in found), sum(one.there for one in found)),
        origin,
        causes,
        distinct if origin is Origin.FIXED else (),
    )


def _depends(path: AttributePath, cause: Cause, seen: Sequence[_Seen]) -> bool:
    """Whether any two results that differ by nothing but this cause differ in an attribute."""
    return any(
        _differs(path, one.survey, other.survey)
        for one, other in combinations(seen, 2)
        if one.specimen.differs_in(other.specimen) == {cause}
    )


def _differs(path: AttributePath, usual: _Survey, other: _Survey) -> bool:
    before, after = usual.get(path), other.get(path)
    if before is None or after is None:
        return before is not after and _has_room(path, usual) and _has_room(path, other)
    if (before.missing > 0) != (after.missing > 0):
        return True
    told, now_told = set(before.values), set(after.values)
    if before.there != after.there:
        # items and results come and go with what they tell of: that alone does not change what is in them
        return not (told <= now_told or now_told <= told)
    return told != now_told


def _has_room(path: AttributePath, survey: _Survey) -> bool:
    """Whether there is any item, or result, that an attribute could stand in."""
    above = path[:-1]
    return not above or (above in survey and survey[above].there > survey[above].empty)


def _is_missing(path: AttributePath, survey: _Survey) -> bool:
    """Whether an item, or a result, lacks an attribute. Where its whole sequence is not there, none does."""
    return survey[path].missing > 0 if path in survey else _has_room(path, survey)


def _presence(missing: bool, empty: int, there: int) -> Presence:
    if missing:
        return Presence.NOT_ALWAYS
    if empty == there:
        return Presence.EMPTY
    return Presence.VALUE_NOT_ALWAYS if empty else Presence.ALWAYS


def _origin(
    path: AttributePath, values: tuple[str, ...], causes: Sequence[Cause], seen: Sequence[_Seen]
) -> Origin | None:
    if not values:
        return None
    # every value stands under the same attribute, at any level, of a received image
    copied = all(
        set(filter(None, one.survey[path].values)) <= one.said[path[-1]] for one in seen if path in one.survey
    )
    if not causes:
        # what tells the images of an exam apart is the same in every exam
        return Origin.COPIED if copied and len(values) > 1 else Origin.FIXED
    if causes == (Cause.CONFIGURATION,):
        return Origin.CONFIGURED
    return Origin.COPIED if Cause.IMAGES in causes and copied else Origin.GENERATED


def _said(images: Iterable[Dataset]) -> Mapping[str, Set[str]]:
    said: dict[str, set[str]] = defaultdict(set)

    def listen(dataset: Dataset) -> None:
        for element in dataset:
            if element.keyword != "PixelData":
                said[element.keyword].add(_text(element))
            if element.VR == "SQ":
                for item in element.value:
                    listen(item)

    for image in images:
        listen(image)
    return said


def _survey(datasets: Iterable[Dataset]) -> dict[AttributePath, _Occurrences]:
    found: dict[AttributePath, _Occurrences] = {}
    items: dict[AttributePath, int] = defaultdict(int)

    def walk(dataset: Dataset, above: AttributePath) -> None:
        items[above] += 1
        for element in dataset:
            path = (*above, element.keyword or str(element.tag))
            one = found.setdefault(
                path,
                _Occurrences(0, 0, 0, element.VR, f"({element.tag.group:04X},{element.tag.element:04X})", []),
            )
            one.there += 1
            one.empty += element.is_empty
            text = _text(element)
            one.values += [text] if element.VR != "SQ" else [text] * bool(text)
            if element.VR == "SQ" and element.keyword not in CONTENT_TREE:
                for item in element.value:
                    walk(_without_code(item), path)

    for dataset in datasets:
        walk(dataset, ())
    for path, one in found.items():
        one.missing = items[path[:-1]] - one.there
    return found


def _without_code(item: Dataset) -> Dataset:
    """An item with what it says beside its code, which is the value of its sequence."""
    rest = Dataset()
    rest.update({element.tag: element for element in item if element.keyword not in _CODE})
    return rest


def _text(element: DataElement) -> str:
    """A value as text; of a sequence its codes, where it has any."""
    value: Any = element.value
    if element.VR == "SQ":
        return ", ".join(_code(item) for item in value if "CodeValue" in item)
    if element.VR in _BULK:
        return sha256(bytes(value or b"")).hexdigest()
    if isinstance(value, MultiValue | list | tuple):
        return "\\".join(map(str, value))
    return "" if value is None else str(value)


def _code(item: Dataset) -> str:
    return "({}, {}, {})".format(*(item.get(name, "") for name in _CODE))
