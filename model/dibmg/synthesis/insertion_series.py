"""Lesions inserted into the films of a manifest: pairs of what was normal and is not any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from dibmg.data.images import load_image
from dibmg.data.kinds import Circle, Label
from dibmg.data.manifest import ImageRow, Manifest, write_manifest
from dibmg.preprocess import flips_to_standard
from dibmg.synthesis.dicom_export import window_of
from dibmg.synthesis.insert import NoRoomError, insert_lesion
from dibmg.synthesis.series import FEATURES
from dibmg_node.domain.image import Mammogram
from dibmg_node.errors import RejectedError

_TOP: Final = 65535


@dataclass(frozen=True)
class Inserted:
    """What became of a manifest.

    Attributes:
        rows: Every image of a normal exam, some of them changed; in the order of the manifest.
        changed: Images with a lesion that they did not have.
        passed_over: Images that were left out or left as they are, by reason.
    """

    rows: tuple[ImageRow, ...]
    changed: int
    passed_over: Counter[str]


def insert_series(
    manifest: Manifest,
    out: Path,
    seed: int,
    *,
    share: float = 0.5,
    visibility: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> Inserted:
    """Insert lesions into normal films; writes `images/` (16-bit PNG, as displayed) and `manifest.csv`.

    One breast of `share` of the normal exams gets a lesion, of one kind and size in all of its views. The
    other exams are written likewise, so that nothing but the lesion tells the two apart.

    Args:
        manifest: Exams with a cancer or a benign finding are left out.
        out: Made where it is missing; files are replaced.
        seed: The same seed gives the same lesions.
        share: Of the exams, 0..1.
        visibility: Of the lesions; 1 = findable, less is harder.
        progress: Called with images done and images in all.

    Raises:
        RejectedError: There is no normal exam.
        ImageUnreadableError: As for `load_image`.
    """
    normal = {row.exam for row in manifest.rows} - {
        row.exam for row in manifest.rows if row.label is not Label.NORMAL or row.shows_cancer
    }
    passed_over = Counter({"exam not normal": sum(row.exam not in normal for row in manifest.rows)})
    rows = [row for row in manifest.rows if row.exam in normal]
    if not rows:
        raise RejectedError(f"{manifest.path}: no normal exam to insert a lesion into")
    (out / "images").mkdir(parents=True, exist_ok=True)
    chosen = _chosen(rows, seed, share)
    written: list[ImageRow] = []
    for number, row in enumerate(rows, start=1):
        written.append(_write(row, number, out.absolute(), seed, chosen, visibility, passed_over))
        if progress is not None:
            progress(number, len(rows))
    finished = tuple(_with_exam_labels(written))
    write_manifest(finished, out / "manifest.csv")
    changed = sum(row.lesion is not None for row in finished)
    return Inserted(finished, changed, +passed_over)


def _chosen(rows: Sequence[ImageRow], seed: int, share: float) -> dict[tuple[str, str], int]:
    """Breasts (exam, side) that get a lesion, with the number of their exam."""
    sides: dict[str, list[str]] = {}
    for row in rows:
        sides.setdefault(row.exam, [])
        if row.laterality.value not in sides[row.exam]:
            sides[row.exam].append(row.laterality.value)
    random = np.random.default_rng([seed, 1])
    order = random.permutation(len(sides))[: round(share * len(sides))]
    exams = list(sides.items())
    return {(exams[number][0], str(random.choice(sorted(exams[number][1])))): int(number) for number in order}


def _write(
    row: ImageRow,
    number: int,
    out: Path,
    seed: int,
    chosen: dict[tuple[str, str], int],
    visibility: float,
    passed_over: Counter[str],
) -> ImageRow:
    """One film, with its lesion where its breast was chosen and there is room."""
    loaded = load_image(row)
    mammogram = _upright(loaded.mammogram, row, loaded.orientation)
    exam = chosen.get((row.exam, row.laterality.value))
    lesion = None
    if exam is not None:
        # all views of a breast begin with the same draws: kind and size are equal, the place is their own
        random = np.random.default_rng([seed, 2, exam])
        try:
            mammogram, lesion = insert_lesion(mammogram, random, visibility)
        except NoRoomError:
            passed_over["no room for a lesion (image kept as it was)"] += 1
    path = out / "images" / f"{number:06d}.png"
    cv2.imwrite(str(path), mammogram.pixels)
    changed = replace(row, path=path, mask=None, lesion=None, window=window_of(mammogram))
    if lesion is None:
        return replace(changed, breast_label=Label.NORMAL)
    return replace(
        changed,
        breast_label=Label.CANCER,
        lesion=Circle(*lesion.center, lesion.radius),
        features=FEATURES[lesion.kind],
    )


def _upright(mammogram: Mammogram, row: ImageRow, orientation: Sequence[str]) -> Mammogram:
    """The film as it is displayed, 16 bit, turned as its header says: a PNG cannot say so."""
    across, down = flips_to_standard(row.laterality, orientation)
    shown = mammogram.image()[:: -1 if down else 1, :: -1 if across else 1]
    pixels = np.ascontiguousarray(np.rint(shown * np.float32(_TOP))).astype(np.uint16)
    return Mammogram(pixels, 0.0, float(_TOP), False, mammogram.rule)


def _with_exam_labels(rows: Sequence[ImageRow]) -> Iterator[ImageRow]:
    """An exam has a cancer if one of its images got a lesion; so does a breast."""
    exams = {row.exam for row in rows if row.lesion is not None}
    breasts = {(row.exam, row.laterality) for row in rows if row.lesion is not None}
    for row in rows:
        sick = (row.exam, row.laterality) in breasts
        yield replace(
            row,
            label=Label.CANCER if row.exam in exams else Label.NORMAL,
            breast_label=Label.CANCER if sick else Label.NORMAL,
        )
