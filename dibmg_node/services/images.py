"""The images of one study on their way to the model: their files checked, decoded and prepared, once each."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from pydicom import dcmread
from pydicom.dataset import FileDataset

from dibmg_node.dicom.header import read_stored_header
from dibmg_node.dicom.mammogram import read_mammogram
from dibmg_node.dicom.part10 import data_set_offset
from dibmg_node.dicom.pixels import PixelsUnreadableError, SyntaxNotDecodedError
from dibmg_node.dicom.rendering import for_overlay, output_shape
from dibmg_node.domain.exam import Exam
from dibmg_node.domain.image import Mammogram
from dibmg_node.domain.result import ExamResult, OverlayStyle
from dibmg_node.domain.study import Exclusion, ExclusionCode, Instance, Study, ViewKey
from dibmg_node.errors import RetryableError
from dibmg_node.storage.checksum import crc32

AT_ONCE: Final = min(4, os.cpu_count() or 1)
"""Images that are read, decoded or drawn at the same time: more would take memory alone."""

_PIECE: Final = 256 * 1024

Prepared = TypeVar("Prepared")
"""One view as the model reads it: only the model knows what that is."""


class Predictor(Protocol[Prepared]):
    """The model, as the node sees it."""

    @property
    def least_side(self) -> int:
        """Longer side, pixels, that an image has to be decoded to."""

    def prepare(self, instance: Instance, mammogram: Mammogram) -> Prepared | Exclusion:
        """Make one image of an exam ready, or say why it cannot be read."""

    def predict(self, exam: Exam, views: Mapping[ViewKey, Prepared]) -> ExamResult:
        """Read one exam, each of whose views was made ready."""


class DamagedFileError(RetryableError):
    """A file in the archive is not what intake received: the disk lies."""


@dataclass(frozen=True)
class StudyFiles:
    """A study with the bytes of its instances.

    Attributes:
        paths: Part 10 file of each instance, by SOP Instance UID.
        checksums: Size and CRC-32 of each data set as they were received; empty: not checked.
    """

    study: Study
    paths: Mapping[str, Path]
    checksums: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Shown:
    """What is kept of a decoded image, to be shown: at 27 MB each, whole images are most of what it takes.

    Attributes:
        overlays: It will be: otherwise no pixels are kept.
        max_side, style: As for `render_overlay`.
    """

    overlays: bool = False
    max_side: int = 0
    style: OverlayStyle = OverlayStyle.COLOR

    def of(self, mammogram: Mammogram) -> Mammogram:
        """What is kept of this one."""
        if self.overlays:
            return for_overlay(mammogram, self.max_side, self.style)
        return mammogram.on(mammogram.pixels[:0, :0].copy())

    def least_side(self, mammogram: Mammogram) -> int:
        """Longer side, pixels, of what an overlay shows of it."""
        rows, columns = output_shape(*mammogram.shape, self.max_side, self.style)
        return max(rows, columns // self.style.panels) if self.overlays else 0


@dataclass(frozen=True)
class Opened(Generic[Prepared]):
    """One image, decoded: what the model reads of it, and what is shown of it."""

    view: Prepared
    shown: Mammogram


_Bytes: TypeAlias = tuple[str, tuple[int, int] | None]
"""What was received under a SOP Instance UID: with size and CRC-32, where they are known."""
_Found = TypeVar("_Found")


class Images(Generic[Prepared]):
    """What was read of one study's images so far.

    Attributes:
        predictor: The model that they are made ready for.
        shown: What is kept of each.
    """

    def __init__(self, predictor: Predictor[Prepared], shown: Shown = Shown()) -> None:
        self.predictor = predictor
        self.shown = shown
        self._headers: dict[_Bytes, tuple[FileDataset, str]] = {}
        self._opened: dict[_Bytes, Opened[Prepared] | Exclusion] = {}

    @property
    def opened(self) -> frozenset[str]:
        """SOP Instance UIDs of the images that were opened, or cannot be."""
        return frozenset(sop_uid for sop_uid, _ in self._opened)

    def keep(self, sop_uids: Collection[str]) -> None:
        """Forget all others."""
        self._headers = {key: one for key, one in self._headers.items() if key[0] in sop_uids}
        self._opened = {key: one for key, one in self._opened.items() if key[0] in sop_uids}

    def headers(self, files: StudyFiles, instances: Iterable[Instance]) -> dict[str, tuple[FileDataset, str]]:
        """Headers without pixels and SHA-256 of the data sets of some instances, by SOP Instance UID.

        Raises:
            DamagedFileError: A file differs from what was received.
            OSError: A file cannot be read.
        """
        return _all_of(files, instances, self._headers, partial(_read_checked, files))

    def open(
        self, files: StudyFiles, instances: Iterable[Instance]
    ) -> dict[str, Opened[Prepared] | Exclusion]:
        """Some images, decoded in parallel and prepared, or why they cannot be, by SOP Instance UID.

        Raises:
            OSError: A file cannot be read.
        """
        return _all_of(files, instances, self._opened, partial(self._open, files))

    def _open(self, files: StudyFiles, instance: Instance) -> Opened[Prepared] | Exclusion:
        path = files.paths[instance.sop_uid]
        mammogram = _decode(path, instance, self.predictor.least_side)
        if isinstance(mammogram, Exclusion):
            return mammogram
        view = self.predictor.prepare(instance, mammogram)
        if isinstance(view, Exclusion):
            return view
        wanted = self.shown.least_side(mammogram)
        if wanted > max(mammogram.pixels.shape):
            # what the model reads depends on the file alone, not on what is shown of it; nor on whether that
            # much of it can be decoded
            larger = _decode(path, instance, wanted)
            mammogram = mammogram if isinstance(larger, Exclusion) else larger
        return Opened(view, self.shown.of(mammogram))


def _all_of(
    files: StudyFiles,
    instances: Iterable[Instance],
    found: dict[_Bytes, _Found],
    find: Callable[[Instance], _Found],
) -> dict[str, _Found]:
    """What is found of each instance: of those that `found` lacks in parallel, of the others it is there."""
    wanted = list(instances)
    keys = {one.sop_uid: (one.sop_uid, files.checksums.get(one.sop_uid)) for one in wanted}
    missing = [one for one in wanted if keys[one.sop_uid] not in found]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for one, what in zip(missing, pool.map(find, missing), strict=True):
            found[keys[one.sop_uid]] = what
    return {sop_uid: found[key] for sop_uid, key in keys.items()}


def _read_checked(files: StudyFiles, instance: Instance) -> tuple[FileDataset, str]:
    """Header and SHA-256 of one file, if it is the one that was received."""
    path, expected = files.paths[instance.sop_uid], files.checksums.get(instance.sop_uid)
    digest, found = _digests(path)
    if expected is not None and found != expected:
        raise DamagedFileError(
            f"archived file of instance {instance.sop_uid} has size and CRC-32 {found}, "
            f"received were {expected}"
        )
    with path.open("rb") as file:
        return read_stored_header(file), digest


def _digests(path: Path) -> tuple[str, tuple[int, int]]:
    """SHA-256 of a file's data set; its size and CRC-32. A piece stays in the processor's cache."""
    digest, size, crc, before = sha256(), 0, 0, -1
    piece = memoryview(bytearray(_PIECE))
    with path.open("rb", buffering=0) as file:
        while number := file.readinto(piece):
            if before < 0:
                before = data_set_offset(bytes(piece[: min(number, 144)]))
            part = piece[min(before, number) : number]
            before -= number - len(part)
            digest.update(part)
            size, crc = size + len(part), crc32(part, crc)
    return digest.hexdigest(), (size, crc)


def _decode(path: Path, instance: Instance, least_side: int) -> Mammogram | Exclusion:
    try:
        return read_mammogram(_read(path), least_side)
    except SyntaxNotDecodedError as error:
        return Exclusion(ExclusionCode.SYNTAX_NOT_DECODED, str(error), instance.sop_uid, instance.laterality)
    except PixelsUnreadableError as error:
        return Exclusion(ExclusionCode.PIXELS_UNREADABLE, str(error), instance.sop_uid, instance.laterality)


def _read(path: Path) -> FileDataset:
    try:
        return dcmread(path)
    except (OSError, MemoryError):
        raise
    # the header was readable, or there would be no instance: what is damaged are the pixels behind it
    except Exception as error:
        raise PixelsUnreadableError(f"pixel data cannot be read ({type(error).__name__})") from error
