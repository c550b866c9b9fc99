"""Reading a manifest by the node's own functions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dibmg.contrast_range import ContrastRange
from dibmg.data.images import load_image
from dibmg.data.manifest import ImageRow, Label, read_manifest
from dibmg.evaluation.confound import resampling
from dibmg.evaluation.localization import localize
from dibmg.evaluation.reading import NoUsableImageError, Readings, prepare, read_images
from dibmg.evaluation.units import UnitKind, build_units
from dibmg.local_contrast import local_contrast
from dibmg.localize import project
from dibmg.operating_choice import OperatingChoice
from dibmg.predictor import DibmgPredictor
from dibmg.runtime import Runtime, open_runtime
from dibmg.weights import Weights, load_weights
from dibmg_node.domain.study import Laterality
from tests.model.evaluation.factories_evaluation import image, write_seeing_weights, write_set
from tests.model.factories_model import SIZE, exam_of, read_exam


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return load_weights(write_seeing_weights(tmp_path_factory.mktemp("weights") / "seeing"))


@pytest.fixture(scope="module")
def runtime(weights: Weights) -> Runtime:
    return open_runtime(weights)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRow, ...]:
    """Three cancers and two normals."""
    return read_manifest(write_set(tmp_path_factory.mktemp("set"), 3, 2)).rows


def read(rows: tuple[ImageRow, ...], weights: Weights, runtime: Runtime) -> Readings:
    return read_images(rows, weights, runtime, lambda: None)


def test_images_unlike_those_of_training_are_told_by_the_range_of_the_weights(
    rows: tuple[ImageRow, ...], weights: Weights, runtime: Runtime
) -> None:
    found = [local_contrast(prepare(row, weights.input_size).pixels) for row in rows]
    usual = ContrastRange(0.0, sorted(one or 0.0 for one in found)[2])

    told = read(rows, replace(weights, local_contrast=usual), runtime)
    untold = read(rows, weights, runtime)

    assert [one.row for one in told.unlike] == [
        row for row, one in zip(rows, found, strict=True) if one and one > usual.high
    ]
    assert untold.unlike == ()
    assert all(one.unlike is None for one in untold.images)


def test_an_exam_has_the_very_score_that_the_predictor_gives_it(
    rows: tuple[ImageRow, ...], weights: Weights, runtime: Runtime
) -> None:
    predictor = DibmgPredictor(weights, runtime, OperatingChoice(weights.operating_point("default")))
    expected = []
    for row in rows:
        mammograms = {row.view_key: load_image(row).mammogram}
        exam = exam_of(mammograms)
        # pictures carry no orientation
        views = {key: replace(one, orientation=()) for key, one in exam.views.items()}
        expected.append(read_exam(predictor, replace(exam, views=views), mammograms).scores.exam)

    units, _ = build_units(read(rows, weights, runtime).images, UnitKind.EXAM, weights.exam_pooling, rows)

    assert units.scores.tolist() == expected


def test_the_hottest_cell_is_in_the_lesion_and_chance_is_its_share_of_the_breast(
    rows: tuple[ImageRow, ...], weights: Weights, runtime: Runtime
) -> None:
    images = read(rows, weights, runtime).images

    found = localize(images)

    assert [one.places.hit for one in images] == [True, True, True, None, None]
    assert (found.hits.count, found.hits.of) == (3, 3)
    # a lesion of 40 x 40 pixels, a breast of half an ellipse of 288 x 256
    assert found.chance == pytest.approx(40 * 40 / (np.pi / 2 * 288 * 256), rel=0.4)


@pytest.mark.parametrize("laterality", [Laterality.RIGHT, Laterality.LEFT])
def test_places_are_carried_into_the_square_wherever_the_breast_was_moved(
    rows: tuple[ImageRow, ...], laterality: Laterality
) -> None:
    prepared = prepare(replace(rows[0], laterality=laterality), SIZE)
    bright = prepared.pixels > 0.3
    stored = load_image(rows[0]).mammogram.pixels > 3900

    projected = project(stored, prepared.placement, (SIZE, SIZE))

    assert bright.any()
    assert (projected & bright).sum() / (projected | bright).sum() > 0.75


def test_what_cannot_be_read_costs_a_line(
    rows: tuple[ImageRow, ...], weights: Weights, runtime: Runtime, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((200, 160), np.uint8))
    broken = (
        replace(rows[0], path=tmp_path / "none.png"),
        replace(rows[3], path=tmp_path / "black.png"),
        rows[4],
    )

    found = read(broken, weights, runtime)

    assert [one.row.line for one in found.images] == [6]
    assert [one.line for one in found.left_out] == [2, 5]
    assert "no breast found" in found.left_out[1].reason


def test_a_mask_on_another_grid_costs_the_place_and_not_the_image(
    rows: tuple[ImageRow, ...], weights: Weights, runtime: Runtime, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), np.full((20, 20), 255, np.uint8))

    found = read((replace(rows[0], mask=tmp_path / "mask.png"),), weights, runtime)

    assert found.images[0].places.hit is None
    assert found.left_out[0].image_read
    assert found.left_out[0].reason.startswith("the place of the lesion is not used:")


def test_places_of_what_is_no_cancer_do_not_count(
    rows: tuple[ImageRow, ...], weights: Weights, runtime: Runtime
) -> None:
    benign = replace(rows[0], label=Label.BENIGN)
    other_breast = replace(rows[0], breast_label=Label.NORMAL)

    assert [one.places.hit for one in read((benign, other_breast), weights, runtime).images] == [None, None]


def test_without_one_readable_image_there_is_nothing_to_evaluate(
    rows: tuple[ImageRow, ...], weights: Weights, runtime: Runtime, tmp_path: Path
) -> None:
    with pytest.raises(NoUsableImageError, match="none of 1 images can be read; the first: "):
        read((replace(rows[0], path=tmp_path / "none.png"),), weights, runtime)


def test_every_image_advances_the_progress(
    rows: tuple[ImageRow, ...], weights: Weights, runtime: Runtime
) -> None:
    done: list[int] = []

    read_images(rows, weights, runtime, lambda: done.append(1))

    assert len(done) == len(rows)


def test_resampling_depends_on_seed_and_line_alone(rows: tuple[ImageRow, ...]) -> None:
    mammogram = load_image(rows[0]).mammogram

    one, same, other = (resampling(SIZE, seed)(mammogram, rows[0]) for seed in (1, 1, 2))

    np.testing.assert_array_equal(one.pixels, same.pixels)
    assert one.shape != other.shape
    assert 0.6 * SIZE <= max(one.shape) <= 0.95 * SIZE
    assert (one.low, one.high) == (mammogram.low, mammogram.high)


def test_a_hit_needs_the_hottest_cell_on_the_breast() -> None:
    # column 7 is beside the breast
    assert image(hot={(2, 7): 9.0, (3, 1): 5.0}, lesion=[(3, 1)]).places.hit is True
    assert image(hot={(2, 2): 9.0, (3, 1): 5.0}, lesion=[(3, 1)]).places.hit is False
    assert image(lesion=[(3, 1), (3, 7)]).places.chance == pytest.approx(1 / 32)
