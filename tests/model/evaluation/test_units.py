from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from dibmg.data.manifest import Density, Feature, Label
from dibmg.evaluation.reading import ImageReading, LeftOut
from dibmg.evaluation.units import UnitKind, UnitSet, build_units
from dibmg.scores import ExamPooling
from dibmg_node.domain.study import Laterality, View
from tests.model.evaluation.factories_evaluation import image, row

RIGHT = {"laterality": Laterality.RIGHT}
CANCER = {"label": Label.CANCER}


def built(
    images: Sequence[ImageReading], kind: UnitKind, pooling: ExamPooling
) -> tuple[UnitSet, tuple[LeftOut, ...]]:
    """Units of a manifest whose images could all be read."""
    return build_units(images, kind, pooling, [one.row for one in images])


def logistic(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


@pytest.mark.parametrize(
    ("pooling", "expected"), [(ExamPooling.MAXIMUM, logistic(2.0)), (ExamPooling.MEAN, logistic(1.0))]
)
def test_an_exam_has_the_score_that_the_node_gives_it(pooling: ExamPooling, expected: float) -> None:
    views = [image(1.0), image(3.0, view=View.MLO), image(0.0, **RIGHT), image(0.0, view=View.MLO, **RIGHT)]

    units, _ = built(views, UnitKind.EXAM, pooling)

    assert units.scores.tolist() == pytest.approx([expected])


def test_several_images_of_one_view_count_as_their_mean() -> None:
    views = [image(1.0), image(3.0), image(4.0, view=View.MLO)]

    units, _ = built(views, UnitKind.EXAM, ExamPooling.MAXIMUM)

    assert units.scores.tolist() == pytest.approx([logistic(3.0)])


def test_breasts_have_their_own_scores_and_labels() -> None:
    views = [
        image(1.0, breast_label=Label.CANCER, **CANCER),
        image(-1.0, breast_label=Label.NORMAL, **CANCER, **RIGHT),
    ]

    units, _ = built(views, UnitKind.BREAST, ExamPooling.MAXIMUM)

    assert units.scores.tolist() == pytest.approx([logistic(1.0), logistic(-1.0)])
    assert units.labels.tolist() == [True, False]


def test_images_are_units_with_the_label_of_their_breast() -> None:
    views = [image(1.0, breast_label=Label.CANCER, **CANCER), image(2.0, view=View.MLO, **CANCER)]

    units, _ = built(views, UnitKind.IMAGE, ExamPooling.MEAN)

    assert units.scores.tolist() == pytest.approx([logistic(1.0), logistic(2.0)])
    assert units.labels.tolist() == [True, True]


def test_breasts_of_an_exam_with_a_cancer_somewhere_are_left_out() -> None:
    views = [image(line=2, **CANCER), image(line=3, **CANCER, **RIGHT), image(line=4, exam="e2")]

    units, left_out = built(views, UnitKind.BREAST, ExamPooling.MAXIMUM)

    assert [unit.lines for unit in units.units] == [(4,)]
    assert [one.line for one in left_out] == [2, 3]
    assert left_out[0].reason == "which breast has the cancer is not known (breast_label is empty)"


@pytest.mark.parametrize("kind", [UnitKind.BREAST, UnitKind.IMAGE])
def test_a_breast_whose_other_one_was_not_read_has_no_cancer_for_that(kind: UnitKind) -> None:
    unread = row(line=2, exam="e1", **CANCER)
    views = [image(line=3, exam="e1", **CANCER, **RIGHT), image(line=4, exam="e2", **CANCER)]

    units, left_out = build_units(views, kind, ExamPooling.MAXIMUM, [unread, *(one.row for one in views)])

    assert [(unit.lines, unit.cancer) for unit in units.units] == [((4,), True)]
    assert [one.line for one in left_out] == [3]


def test_an_exam_whose_cancer_was_not_read_is_left_out() -> None:
    views = [image(breast_label=Label.NORMAL, line=2, **CANCER)]

    units, left_out = built(views, UnitKind.EXAM, ExamPooling.MAXIMUM)

    assert not units.units
    assert left_out[0].reason == "no image of the breast with cancer could be read"


@pytest.mark.parametrize("label", [Label.NORMAL, Label.BENIGN])
def test_benign_counts_as_negative(label: Label) -> None:
    units, _ = built([image(label=label)], UnitKind.EXAM, ExamPooling.MAXIMUM)

    assert units.positives == 0


def test_what_is_known_of_a_cancer_comes_from_its_own_breast() -> None:
    views = [
        image(breast_label=Label.CANCER, features=frozenset({Feature.MASS}), size_mm=12.0, **CANCER),
        image(
            breast_label=Label.CANCER,
            features=frozenset({Feature.CALCIFICATION}),
            size_mm=21.0,
            view=View.MLO,
            **CANCER,
        ),
        image(breast_label=Label.BENIGN, features=frozenset({Feature.DISTORTION}), **CANCER, **RIGHT),
    ]

    units, _ = built(views, UnitKind.EXAM, ExamPooling.MAXIMUM)

    assert units.units[0].features == {Feature.MASS, Feature.CALCIFICATION}
    assert units.units[0].size_mm == 21.0


def test_an_exam_of_two_manufacturers_has_none_and_the_denser_breast_counts() -> None:
    views = [
        image(manufacturer="A", density=Density.B),
        image(manufacturer="B", density=Density.C, **RIGHT),
    ]

    units, _ = built(views, UnitKind.EXAM, ExamPooling.MAXIMUM)

    assert units.units[0].manufacturer is None
    assert units.units[0].density is Density.C
