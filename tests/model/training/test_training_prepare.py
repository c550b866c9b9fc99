from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import dcmread

from dibmg.data.kinds import Circle, Label
from dibmg.data.manifest import ImageRow, Manifest, ManifestError, read_manifest
from dibmg.evaluation.reading import prepare
from dibmg.preprocess import least_side, preprocess
from dibmg.training.examples import LEVELS
from dibmg.training.plan import Unit
from dibmg.training.prepare import group_examples, prepare_examples, prepare_view
from dibmg_node.dicom.facts import JPEG_2000_LOSSLESS
from dibmg_node.dicom.mammogram import read_mammogram
from dibmg_node.domain.study import Laterality, View, ViewKey
from dibmg_node.errors import RejectedError
from tests.factories import mammogram, part10
from tests.model.factories_model import breast
from tests.model.training.factories_training import image_row, picture_manifest

SIZE = 64


def test_images_are_prepared_as_the_node_prepares_them_and_kept(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    first = prepare_examples(
        picture_manifest(tmp_path),
        SIZE,
        Unit.EXAM,
        tmp_path / "cache",
        progress=lambda *done: told.append(done),
    )
    again = prepare_examples(read_manifest(tmp_path / "manifest.csv"), SIZE, Unit.EXAM, tmp_path / "cache")

    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    np.testing.assert_array_equal(first.views, again.views)
    assert first.views.shape == (4, SIZE, SIZE)
    assert (first.views[first.right][:, 32, -1] > 0).all()
    assert (first.views[~first.right][:, 32, 0] > 0).all()
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_the_place_of_a_cancer_is_prepared_with_its_view(tmp_path: Path) -> None:
    rows = list(picture_manifest(tmp_path).rows)
    sick = next(number for number, row in enumerate(rows) if row.shows_cancer)
    picture = cv2.imread(str(rows[sick].path), cv2.IMREAD_UNCHANGED)
    across = 0.8 if rows[sick].laterality is Laterality.RIGHT else 0.2
    circle = Circle(across * picture.shape[1], 0.5 * picture.shape[0], 0.1 * picture.shape[0])
    rows[sick] = dataclasses.replace(rows[sick], lesion=circle)
    sound = 1 - sick if sick < 2 else 0
    mask = tmp_path / "benign.png"
    cv2.imwrite(str(mask), np.full(picture.shape[:2], 255, np.uint8))
    rows[sound] = dataclasses.replace(rows[sound], label=Label.BENIGN, breast_label=Label.BENIGN, mask=mask)
    manifest = Manifest(tmp_path / "manifest.csv", tuple(rows))

    found, again = (prepare_examples(manifest, SIZE, Unit.IMAGE, tmp_path / "cache") for _ in range(2))

    lesion = found.lesion(sick)
    assert lesion is not None
    v, u = np.nonzero(lesion)
    assert abs(v.mean() + 0.5 - SIZE / 2) < 1.5
    assert lesion.sum() == pytest.approx(np.pi * (0.1 * SIZE) ** 2, rel=0.15)
    assert (u.mean() > SIZE / 2) == (rows[sick].laterality is Laterality.RIGHT)
    benign = found.lesion(sound)
    assert benign is not None
    assert not benign.any()
    np.testing.assert_array_equal(found.lesions, again.lesions)


def test_a_cancer_without_a_place_is_not_taken_for_sound(tmp_path: Path) -> None:
    manifest = picture_manifest(tmp_path)

    found = prepare_examples(manifest, SIZE, Unit.IMAGE, tmp_path / "cache")

    for number, row in enumerate(manifest.rows):
        assert (found.lesion(number) is None) == row.shows_cancer


@pytest.mark.parametrize(
    ("unit", "exams", "breasts"),
    [
        (Unit.EXAM, [0, 1], [[0, 0], [0, 1]]),
        (Unit.BREAST, [0, 0, 0, 1], [[0, -1], [-1, 0], [0, -1], [-1, 1]]),
        (Unit.IMAGE, [0, 0, 0, 1], [[0, -1], [-1, 0], [0, -1], [-1, 1]]),
    ],
)
def test_units_share_their_labels(
    tmp_path: Path, unit: Unit, exams: list[int], breasts: list[list[int]]
) -> None:
    rows = picture_manifest(tmp_path).rows

    found = group_examples(rows, np.zeros((4, 8, 8), np.uint8), unit)

    assert found.exams.tolist() == exams
    assert found.breasts.tolist() == breasts
    assert found.groups.tolist() == ([0, 1] if unit is Unit.EXAM else [0, 0, 1, 1])


def test_the_breasts_of_a_cancer_exam_are_unknown_where_the_table_does_not_say() -> None:
    rows = [image_row(Path("a.png"), "1", side, Label.CANCER) for side in (Laterality.RIGHT, Laterality.LEFT)]

    found = group_examples(rows, np.zeros((2, 8, 8), np.uint8), Unit.EXAM)

    assert (found.exams.tolist(), found.breasts.tolist()) == ([1], [[-1, -1]])


def test_an_exam_whose_cancer_no_image_shows_is_unknown_as_in_an_evaluation() -> None:
    healthy, other = (
        image_row(Path("a.png"), "1", side, Label.CANCER, Label.NORMAL)
        for side in (Laterality.RIGHT, Laterality.LEFT)
    )
    not_told = dataclasses.replace(other, breast_label=None)

    found = [
        group_examples(rows, np.zeros((2, 8, 8), np.uint8), Unit.EXAM).exams.tolist()
        for rows in ([healthy], [healthy, other], [healthy, not_told])
    ]

    assert found == [[-1], [-1], [1]]


def test_benign_is_no_cancer() -> None:
    rows = [image_row(Path("a.png"), "1", Laterality.RIGHT, Label.BENIGN, Label.BENIGN)]

    found = group_examples(rows, np.zeros((1, 8, 8), np.uint8), Unit.IMAGE)

    assert (found.exams.tolist(), found.breasts.tolist()) == ([0], [[0, -1]])


def test_an_image_without_a_breast_stops_the_training_and_names_its_line(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "blank.png"), np.zeros((80, 60), np.uint8))
    rows = [image_row(tmp_path / "blank.png", "1", Laterality.RIGHT, Label.NORMAL, line=7)]

    with pytest.raises(RejectedError, match=r"line 7: .*no breast found"):
        prepare_examples(Manifest(tmp_path / "m.csv", tuple(rows)), SIZE, Unit.IMAGE, tmp_path / "cache")


def test_every_file_that_is_missing_is_named_before_an_image_is_read(tmp_path: Path) -> None:
    manifest = picture_manifest(tmp_path)
    gone = [manifest.rows[number].path for number in (1, 2)]
    for path in gone:
        path.unlink()

    with pytest.raises(ManifestError) as caught:
        prepare_examples(manifest, SIZE, Unit.IMAGE, tmp_path / "cache")

    assert [complaint.rpartition(" ")[2] for complaint in caught.value.complaints] == [str(p) for p in gone]
    assert not (tmp_path / "cache").exists()


def write_large(folder: Path) -> tuple[ImageRow, tuple[int, int]]:
    """A JPEG 2000 image of 512 x 384 of a left breast with a bright square, and the square's center."""
    center = (160, 256)
    image = breast(Laterality.LEFT, 512, 384, squares={center: 4000})
    left = ViewKey(Laterality.LEFT, View.CC)
    path = folder / "large.dcm"
    path.write_bytes(
        part10(
            mammogram(left, pixels=image.pixels, transfer_syntax_uid=JPEG_2000_LOSSLESS, WindowCenter="2048")
        )
    )
    row = image_row(path, "1", Laterality.LEFT, Label.CANCER, Label.CANCER)
    return dataclasses.replace(row, lesion=Circle(*center, 12.0)), center


def test_training_evaluation_and_node_read_a_large_image_alike_and_as_far_as_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dibmg.preprocess._ENOUGH", 200)
    row, center = write_large(tmp_path)
    instance = dcmread(row.path)
    orientation = tuple(instance.PatientOrientation)

    by_node = preprocess(read_mammogram(instance, least_side(SIZE)), Laterality.LEFT, orientation, SIZE)
    of_all = preprocess(read_mammogram(instance), Laterality.LEFT, orientation, SIZE)
    view, lesion = prepare_view(row, SIZE)

    assert read_mammogram(instance, least_side(SIZE)).pixels.shape == (256, 192)
    assert not np.array_equal(by_node.pixels, of_all.pixels)
    np.testing.assert_allclose(by_node.pixels, of_all.pixels, atol=0.15)
    np.testing.assert_array_equal(prepare(row, SIZE).pixels, by_node.pixels)
    np.testing.assert_array_equal(view, np.round((by_node.pixels + 1.0) * (LEVELS / 2.0)).astype(np.uint8))
    # the place is told on the stored grid
    assert lesion is not None
    found = np.argwhere(lesion).mean(axis=0)
    brightest = np.argwhere(view > 240).mean(axis=0)
    np.testing.assert_allclose(found, brightest, atol=1.0)
    assert center[1] / 512 * SIZE == pytest.approx(found[0], abs=1.0)
