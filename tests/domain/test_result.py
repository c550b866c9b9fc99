from __future__ import annotations

from dataclasses import dataclass

import pytest

from dibmg_node.domain.device import Device
from dibmg_node.domain.result import Calibration, ExamResult, Finding, OperatingPoint, Scores
from dibmg_node.domain.study import Laterality
from tests.factories import L_CC, MODEL


@dataclass(frozen=True)
class Half:
    """A calibration whose probabilities are easy to tell from scores."""

    kind: str = "half"
    population: str = "nobody"
    prevalence: float = 0.5
    brier: float = 0.25
    n: int = 0

    def probability(self, score: float) -> float:
        return score / 2


def read(calibration: Calibration | None, breasts: dict[Laterality, float], exam: float) -> ExamResult:
    point = OperatingPoint("default", 0.37, "1", calibration=calibration)
    return ExamResult("1.2.3", MODEL, point, Scores(exam, breasts, {}), ())


def finding(score: float) -> Finding:
    return Finding(1, L_CC, "1.2.3.4", score, (1.0, 1.0), ())


def test_without_a_calibration_neither_exam_nor_finding_has_a_probability() -> None:
    result = read(None, {Laterality.LEFT: 0.6}, 0.6)

    assert (result.probability, result.probability_of(finding(0.9))) == (None, None)


def test_the_probability_of_an_exam_is_that_of_its_score() -> None:
    assert read(Half(), {Laterality.LEFT: 0.6}, 0.6).probability == 0.3


@pytest.mark.parametrize(
    ("score", "breast", "exam", "probability"),
    [(0.95, 0.6, 0.8, 0.3), (0.5, 0.6, 0.8, 0.25), (0.95, 0.9, 0.8, 0.4)],
)
def test_no_finding_is_more_probable_than_a_cancer_in_its_breast_or_exam(
    score: float, breast: float, exam: float, probability: float
) -> None:
    result = read(Half(), {Laterality.LEFT: breast, Laterality.RIGHT: 0.99}, exam)

    assert result.probability_of(finding(score)) == probability


def test_a_point_says_whose_images_it_is_for() -> None:
    assert OperatingPoint("default", 0.5, "1").label == "default"
    own = OperatingPoint("default", 0.5, "1", device=Device("Maker", "Unit 1"))
    assert own.label == "default for Maker Unit 1"
