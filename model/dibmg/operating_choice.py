"""The operating point that an exam is read at: one of the weights' manifest, or that of a file of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dibmg.operating_points import OperatingPoints, Threshold, load_operating_points
from dibmg.point_names import names_a_file
from dibmg.weights import Weights
from dibmg_node.domain.device import ANY_DEVICE, device_of
from dibmg_node.domain.exam import Exam
from dibmg_node.domain.result import OperatingPoint


@dataclass(frozen=True)
class OperatingChoice:
    """The operating points in use.

    Attributes:
        overall: For exams of devices without one of their own.
        file: The file that it comes from, with those of devices; None: the weights' manifest.
    """

    overall: OperatingPoint
    file: OperatingPoints | None = None

    def for_exam(self, exam: Exam) -> OperatingPoint:
        """The most specific point for the device of all images read, as far as they name one."""
        if self.file is None:
            return self.overall
        return _of_file(self.file, self.file.point_for(device_of(exam.views.values())))


def choose_operating_point(weights: Weights, name_or_file: str) -> OperatingChoice:
    """The operating points that a configuration names.

    Args:
        weights: In use.
        name_or_file: Of a point in their manifest, or the path of a file of points.

    Raises:
        WeightsError: There is no such point, or the file cannot be used with these weights.
    """
    if not names_a_file(name_or_file):
        return OperatingChoice(weights.operating_point(name_or_file))
    found = load_operating_points(Path(name_or_file), weights)
    return OperatingChoice(_of_file(found, found.point_for(ANY_DEVICE)), found)


def _of_file(file: OperatingPoints, point: Threshold) -> OperatingPoint:
    return OperatingPoint(
        name=file.name,
        threshold=point.threshold,
        version=file.version,
        sensitivity=point.sensitivity.value,
        specificity=point.specificity.value,
        chosen_on=file.chosen_on,
        calibration=file.calibration,
        device=point.device,
    )
