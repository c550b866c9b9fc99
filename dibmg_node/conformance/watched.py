"""Data sets that note which of their attributes are looked at."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence

AttributePath = tuple[str, ...]
"""Keywords from the data set down to an attribute, through sequences."""


class _Watching(Dataset):
    """Notes every attribute that is asked for, whether it is there or not."""

    _seen: set[AttributePath]
    _above: AttributePath

    def __getattr__(self, name: str) -> Any:
        if tag_for_keyword(name) is not None:
            self._note(name)
        return super().__getattr__(name)

    def __getitem__(self, key: Any) -> Any:
        self._note(key)
        return super().__getitem__(key)

    def __contains__(self, name: Any) -> bool:
        self._note(name)
        return super().__contains__(name)

    def _note(self, key: Any) -> None:
        keyword = key if isinstance(key, str) else "" if isinstance(key, slice) else keyword_for_tag(key)
        if keyword:
            self._seen.add((*self._above, keyword))


class _WatchedFile(_Watching, FileDataset):
    """A whole instance."""


class _WatchedItem(_Watching):
    """An item of a sequence."""

    def __deepcopy__(self, memo: dict[int, Any] | None) -> Dataset:
        """What is copied from it is an ordinary item."""
        copied = Dataset()
        copied._dict = deepcopy(self._dict, memo)
        return copied


def watched(dataset: FileDataset, seen: set[AttributePath]) -> FileDataset:
    """The same data set, noting into `seen` what is looked at, in items of sequences too."""
    file = _WatchedFile("", {}, preamble=dataset.preamble, file_meta=dataset.file_meta)
    _fill(file, dataset, seen, ())
    return file


def _fill(target: _Watching, source: Dataset, seen: set[AttributePath], above: AttributePath) -> None:
    target._seen, target._above = set(), above
    for element in source:
        copied = deepcopy(element)
        if element.VR == "SQ":
            items = []
            for item in element.value:
                below = _WatchedItem()
                _fill(below, item, seen, (*above, element.keyword))
                items.append(below)
            copied.value = DicomSequence(items)
        target[element.tag] = copied
    target._seen = seen
