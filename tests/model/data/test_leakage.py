"""Leakage: the same woman, file or picture in two manifests is found and named by file and line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dibmg.data.images import ImageUnreadableError
from dibmg.data.leakage import (
    LeakageError,
    check_leakage,
    complain_of_duplicates,
    find_duplicates,
    pixel_digests,
)
from dibmg.data.manifest import ImageRow, Manifest
from tests.factories import R_CC, mammogram, part10
from tests.model.data.factories_data import picture, row


def shaded(folder: Path, name: str, value: int) -> Path:
    return picture(folder / name, np.full((12, 8), value, np.uint8))


def manifest(name: str, *rows: ImageRow) -> Manifest:
    return Manifest(Path(name), rows)


def test_splits_of_different_women_and_pictures_pass(tmp_path: Path) -> None:
    train = manifest("train.csv", row(patient="a", path=shaded(tmp_path, "a.png", 1)))
    test = manifest("test.csv", row(patient="b", path=shaded(tmp_path, "b.png", 2)))

    check_leakage([train, test])


def test_the_same_woman_in_two_splits_is_named_by_line_and_not_by_name() -> None:
    train = manifest(
        "train.csv", row(patient="Jane", path=Path("a")), row(patient="Mary", path=Path("b"), line=3)
    )
    test = manifest("test.csv", row(patient="Mary", path=Path("c"), line=5))

    with pytest.raises(LeakageError) as refused:
        check_leakage([train, test])

    assert str(refused.value) == (
        "test.csv: line 5: the same patient as train.csv: line 3, expected none in two splits"
    )


def test_the_same_picture_in_two_splits_is_found_in_whatever_format(tmp_path: Path) -> None:
    instance = mammogram(R_CC)
    (tmp_path / "a.dcm").write_bytes(part10(instance))
    copy = picture(tmp_path / "b.png", np.frombuffer(instance.PixelData, "<u2").reshape(96, 64))
    train = manifest("train.csv", row(patient="a", path=tmp_path / "a.dcm"))
    test = manifest("test.csv", row(patient="b", path=copy, line=8))

    with pytest.raises(LeakageError, match=r"test\.csv: line 8: the same pixels as train\.csv: line 2"):
        check_leakage([train, test])
    check_leakage([train, test], pixels=False)


def test_one_picture_under_two_women_of_one_manifest_is_refused(tmp_path: Path) -> None:
    rows = [
        row(patient="a", path=shaded(tmp_path, "a.png", 1), line=2),
        row(patient="b", path=shaded(tmp_path, "b.png", 1), line=3),
        row(patient="b", path=shaded(tmp_path, "c.png", 2), line=4),
    ]

    duplicates = find_duplicates(rows)

    with pytest.raises(LeakageError, match=r"m\.csv: lines 2, 3: the same pixels under different patients"):
        complain_of_duplicates(manifest("m.csv", *rows), duplicates)


def test_a_picture_twice_of_one_woman_is_no_leak(tmp_path: Path) -> None:
    rows = [row(path=shaded(tmp_path, name, 1), line=line) for line, name in enumerate(("a.png", "b.pgm"), 2)]

    duplicates = find_duplicates(rows)

    complain_of_duplicates(manifest("m.csv", *rows), duplicates)
    assert [[one.line for one in group] for group in duplicates.within] == [[2, 3]]


def test_progress_is_told_for_every_image(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    pixel_digests(
        [row(path=shaded(tmp_path, f"{n}.png", n)) for n in range(3)],
        lambda done, of: told.append((done, of)),
    )

    assert told == [(1, 3), (2, 3), (3, 3)]


def test_an_image_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(bytes(cv2.imencode(".png", np.zeros((5, 5), np.uint8))[1])[:30])

    with pytest.raises(ImageUnreadableError, match="line 4"):
        pixel_digests([row(path=path, line=4)])
