from __future__ import annotations

import numpy as np
import pytest

from dibmg.data.manifest import Density, Feature, Label
from dibmg.evaluation.units import UnitKind, build_units
from dibmg.scores import ExamPooling
from dibmg_node.domain.study import Laterality, View
from tests.model.evaluation.factories_evaluation import image

RIGHT = {"laterality": Laterality.RIGHT}
CANCER = {"label": Label.CANCER}


def logistic(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


@pytest.mark.parametrize(
    ("pooling", "expected"), [(ExamPooling.MAXIMUM, logistic(2.0)), (ExamPooling.MEAN, logistic(1.0))]
)
def test_an_exam_has_the_score_that_the_node_gives_it(pooling: ExamPooling, expected: float) -> None:
    views = [image(1.0), image(3.0, view=View.MLO), image(0.0, **RIGHT), image(0.0, view=View.MLO, **RIGHT)]

    units, _ = build_units(views, UnitKind.EXAM, pooling)

    assert units.scores.tolist() == pytest.approx([expected])


def test_several_images_of_one_view_count_as_their_mean() -> None:
    views = [image(1.0), image(3.0), image(4.0, view=View.MLO)]

    units, _ = build_units(views, UnitKind.EXAM, ExamPooling.MAXIMUM)

    assert units.scores.tolist() == pytest.approx([logistic(3.0)])


def test_breasts_have_their_own_scores_and_labels() -> None:
    views = [
        image(1.0, breast_label=Label.CANCER, **CANCER),
        image(-1.0, breast_label=Label.NORMAL, **CANCER, **RIGHT),
    ]

    units, _ = build_units(views, UnitKind.BREAST, ExamPooling.MAXIMUM)

    assert units.scores.tolist() == pytest.approx([logistic(1.0), logistic(-1.0)])
    assert units.labels.tolist() == [True, False]


def test_images_are_units_with_the_label_of_their_breast() -> None:
    views = [image(1.0, breast_label=Label.CANCER, **CANCER), image(2.0, view=View.MLO, **CANCER)]

    units, _ = build_units(views, UnitKind.IMAGE, ExamPooling.MEAN)

    assert units.scores.tolist() == pytest.approx([logistic(1.0), logistic(2.0)])
    assert units.labels.tolist() == [True, True]


def test_breasts_of_an_exam_with_a_cancer_somewhere_are_left_out() -> None:
    views = [image(line=2, **CANCER), image(line=3, **CANCER, **RIGHT), image(line=4, exam="e2")]

    units, left_out = build_units(views, UnitKind.BREAST, ExamPooling.MAXIMUM)

    assert [unit.lines for unit in units.units] == [(4,)]
    assert [one.line for one in left_out] == [2, 3]
    assert left_out[0].reason == "which breast has the cancer is not known (breast_label is empty)"


def test_an_exam_whose_cancer_was_not_read_is_left_out() -> None:
    views = [image(breast_label=Label.NORMAL, line=2, **CANCER)]

    units, left_out = build_units(views, UnitKind.EXAM, ExamPooling.MAXIMUM)

    assert not units.units
    assert left_out[0].reason == "no image of the breast with cancer could be read"


@pytest.mark.parametrize("label", [Label.NORMAL, Label.BENIGN])
def test_benign_counts_as_negative(label: Label) -> None:
    units, _ = build_units([image(label=label)], UnitKind.EXAM, ExamPooling.MAXIMUM)

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

    units, _ = build_units(views, UnitKind.EXAM, ExamPooling.MAXIMUM)

    assert units.units[0].features == {Feature.MASS, Feature.CALCIFICATION}
    assert units.units[0].size_mm == 21.0


def test_an_exam_of_two_manufacturers_has_none_and_the_denser_breast_counts() -> None:
    views = [
        image(manufacturer="A", density=Density.B),
        image(manufacturer="B", density=Density.C, **RIGHT),
    ]

    units, _ = build_units(views, UnitKind.EXAM, ExamPooling.MAXIMUM)

    assert units.units[0].manufacturer is None
    assert units.units[0].density is Density.C
