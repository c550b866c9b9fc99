"""The algorithm as every structured report names it. Source: TID 4019, PS3.16."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydicom.dataset import FileDataset

from dibmg_node.dicom import codes, facts
from dibmg_node.dicom.header import instance_of
from dibmg_node.dicom.result_header import plain_text
from dibmg_node.dicom.sr_content import Item, decimal, text
from dibmg_node.domain.result import ExamResult, ModelIdentity, OperatingPoint


@dataclass(frozen=True)
class Algorithm:
    """What TID 4019 says of the algorithm, in words."""

    version: str
    parameters: tuple[str, ...]

    @staticmethod
    def of(model: ModelIdentity | None, point: OperatingPoint | None, notes: Sequence[str] = ()) -> Algorithm:
        """Name the model and how it was run.

        Args:
            model: None where the study never met one.
            point: None likewise.
            notes: How images were prepared where their headers left a choice.
        """
        parameters: list[str] = []
        if model is not None:
            parameters += [
                f"weights SHA-256 {model.sha256}",
                f"preprocessing version {model.preprocessing_version}",
                f"input size {model.input_size}",
                f"runtime {model.runtime}, precision {model.precision}",
            ]
        if point is not None:
            threshold = decimal(point.threshold)
            parameters.append(
                f"operating point {point.label}, version {point.version}, threshold {threshold}"
            )
            if point.calibration is not None:
                fitted = point.calibration
                parameters.append(
                    f"calibration {fitted.kind}, fitted on {fitted.n} exams, "
                    f"prevalence {decimal(fitted.prevalence)}: {fitted.population}"
                )
        parameters += notes
        version = facts.IMPLEMENTATION_VERSION_NAME if model is None else f"{model.name} {model.version}"
        return Algorithm(plain_text(version), tuple(plain_text(words) for words in parameters))

    def rows(self, relationship: str) -> list[Item]:
        """TID 4019, under any of the rows that include it."""
        return [
            text(relationship, codes.ALGORITHM_NAME, facts.ALGORITHM_NAME),
            text(relationship, codes.ALGORITHM_VERSION, self.version),
            text(relationship, codes.ALGORITHM_MANUFACTURER, facts.MANUFACTURER),
            *(text(relationship, codes.ALGORITHM_PARAMETERS, words) for words in self.parameters),
        ]


def preparation_notes(images: Iterable[FileDataset], result: ExamResult) -> list[str]:
    """How images were prepared, and which came lossy compressed, for the algorithm's parameters."""
    notes = [f"{view}: {note}" for view, some in sorted(result.notes.items()) for note in some]
    notes += [
        f"lossy compressed input {header.SOPInstanceUID}" for header in images if instance_of(header).lossy
    ]
    return notes
