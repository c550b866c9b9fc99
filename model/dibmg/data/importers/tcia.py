"""Series of a TCIA download on the disk, however its client named the folders.

Four namings are in use: `<subject>/<study UID>/<series UID>/` (the data set's own tables),
`<subject>/<date-description>/<number-description>/1-1.dcm` with a `metadata.csv` that leads from Series
UID to File Location (NBIA Data Retriever, classic), folders named by series UID only, and any of them
without `metadata.csv`, where the headers below the subject's folder tell.
Source: example paths and the columns of `metadata.csv` in public code
(github.com/john-james-ai/BreastCancerDetection).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from dibmg.data.importers.tables import find_file, read_table
from dibmg_node.dicom.header import read_header
from dibmg_node.errors import InstanceRejectedError


@dataclass(frozen=True)
class _Facts:
    """What the header of a file tells. Attributes: `size` is (rows, columns)."""

    series_uid: str
    size: tuple[int, int]


class TciaFolder:
    """An index of the DICOM files below a folder.

    Attributes:
        damaged: Files that were asked for and are no DICOM; they count as not downloaded.
    """

    def __init__(self, folder: Path) -> None:
        self.damaged: set[Path] = set()
        self._files: dict[Path, list[Path]] = defaultdict(list)
        self._named: dict[str, set[Path]] = defaultdict(set)
        for path in sorted(folder.rglob("*.dcm")):
            self._files[path.parent].append(path)
        for leaf in self._files:
            for part in leaf.relative_to(folder).parts:
                self._named[part].add(leaf)
        self._located = _located(folder)
        self._read: dict[Path, _Facts] = {}

    def series(self, subject: str, series_uid: str) -> Sequence[Path]:
        """Files of a series in the order of their names; empty where it was not downloaded.

        Args:
            subject: Its Patient ID, which names a folder above it.
            series_uid: Series Instance UID.
        """
        leaves = self._named.get(series_uid, set())
        if not leaves and series_uid in self._located:
            leaves = {self._located[series_uid]} & self._files.keys()
        if leaves:
            return self._whole(leaves)
        files = self._whole(self._named.get(subject, set()))
        return [path for path in files if self._read[path].series_uid == series_uid]

    def size_of(self, path: Path) -> tuple[int, int]:
        """(rows, columns) of a file that `series` gave."""
        return self._read[path].size

    def _whole(self, leaves: Iterable[Path]) -> list[Path]:
        """Files of folders whose header can be read."""
        paths = [path for leaf in sorted(leaves) for path in self._files[leaf] if path not in self.damaged]
        for path in paths:
            if path not in self._read:
                try:
                    self._read[path] = _facts_of(path)
                except InstanceRejectedError:
                    self.damaged.add(path)
        return [path for path in paths if path in self._read]


def _facts_of(path: Path) -> _Facts:
    with path.open("rb") as file:
        header = read_header(file)
    size = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
    return _Facts(str(header.get("SeriesInstanceUID", "")), size)


def _located(folder: Path) -> dict[str, Path]:
    """Series UID → folder, by the downloader's table."""
    path = find_file(folder, "metadata.csv")
    if path is None:
        return {}
    lines = read_table(path, ("series uid",))
    places = {line.text("series uid"): line.text("file location") for line in lines}
    return {
        uid: path.parent.joinpath(*PureWindowsPath(re.sub(r"^\.[\\/]", "", place)).parts)
        for uid, place in places.items()
        if place
    }
