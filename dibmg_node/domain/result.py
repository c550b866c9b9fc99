"""What DIB-MG found in an exam, and the DICOM instances that say so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

from dibmg_node.domain.device import ANY_DEVICE, Device
from dibmg_node.domain.image import Heat, Point
from dibmg_node.domain.study import Laterality, ViewKey


class ResultKind(StrEnum):
    """Kinds of result that a destination may ask for."""

    CAD_SR = "cad-sr"
    MEASUREMENT_SR = "measurement-sr"
    OVERLAY = "overlay"
    PRESENTATION = "presentation"


class FindingCode(StrEnum):
    """What a finding is called in the CAD SR (CID 6014)."""

    DENSITY = "density"
    SELECTED_REGION = "selected-region"


Wanted: TypeAlias = Mapping[str, Collection[tuple[ResultKind, str]]]
"""Kinds of result, each with its variant, that destinations are to get, by the destination's name."""


def variant_of(kind: ResultKind, finding_code: FindingCode) -> str:
    """Tells apart results of one kind; empty for kinds that have one form only."""
    return finding_code.value if kind is ResultKind.CAD_SR else ""


REPORTS: Final = frozenset({ResultKind.CAD_SR, ResultKind.MEASUREMENT_SR})
"""Kinds that speak of images, go out after them, and name the report that they replace."""


class OverlayStyle(StrEnum):
    """What an overlay shows: heatmap and outlines, outlines alone, or the mammogram beside the first."""

    COLOR = "color"
    CONTOUR = "contour"
    SIDE_BY_SIDE = "side-by-side"

    @property
    def panels(self) -> int:
        """How often the mammogram is in the picture, side by side."""
        return 2 if self is OverlayStyle.SIDE_BY_SIDE else 1


class Calibration(Protocol):
    """From the score of an exam to its probability of cancer, as fitted on a population."""

    @property
    def kind(self) -> str:
        """How it was fitted: `platt` or `isotonic`."""

    @property
    def population(self) -> str:
        """The exams that it was fitted on, in words."""

    @property
    def prevalence(self) -> float:
        """Share of cancers among them, 0..1; the probabilities hold for this one."""

    @property
    def brier(self) -> float:
        """Mean squared error of the probabilities, on exams that the fit had not seen."""

    @property
    def n(self) -> int:
        """Number of exams."""

    def probability(self, score: float) -> float:
        """Probability of cancer, 0..1, never falling with the score (0..1) of an exam."""


@dataclass(frozen=True)
class OperatingPoint:
    """The threshold in use, with what it was chosen for.

    Attributes:
        threshold: Score (0..1) at and above which a finding is marked.
        sensitivity: Expected fraction 0..1, None where it was not measured.
        specificity: Expected fraction 0..1, None where it was not measured.
        version: Changes whenever any number in the file of operating points changes.
        chosen_on: The data that it was chosen on, in words.
        calibration: From this alone the node may speak of a probability; None where nothing was fitted.
        device: The device, or the class of devices, whose images it is for.
    """

    name: str
    threshold: float
    version: str
    sensitivity: float | None = None
    specificity: float | None = None
    chosen_on: str = ""
    calibration: Calibration | None = None
    device: Device = ANY_DEVICE

    @property
    def label(self) -> str:
        """Name, and whose images it is for where it is not for all."""
        return f"{self.name} for {self.device}" if self.device.manufacturer else self.name


@dataclass(frozen=True)
class ModelIdentity:
    """Which model made a result: enough to make it again.

    Attributes:
        name: Name of the weights' folder (`default`, `synthetic`, …).
        version: Version in the weights' manifest.
        sha256: SHA-256 of the weights of record (`.keras` file).
        runtime: `openvino` or `tensorflow`.
        precision: `f32` or `bf16`.
        preprocessing_version: Version of the preprocessing that the weights were trained with.
        input_size: Side of the square network input, pixels.
        trained_on: One line for people: what the weights were trained on.
    """

    name: str
    version: str
    sha256: str
    runtime: str
    precision: str
    preprocessing_version: str
    input_size: int
    trained_on: str


@dataclass(frozen=True)
class Finding:
    """One suspicious region on one image.

    Attributes:
        number: 1, 2, … within the exam, by falling score.
        score: Highest value of the heatmap inside the outline, 0..1.
        center: Place of that highest value.
        outline: Closed polygon (first point = last point), at least four points.
    """

    number: int
    view: ViewKey
    sop_uid: str
    score: float
    center: Point
    outline: tuple[Point, ...]


@dataclass(frozen=True)
class Scores:
    """y_pred (0..1) of the exam, of each breast read, and of each view read."""

    exam: float
    breasts: Mapping[Laterality, float]
    views: Mapping[ViewKey, float]


def model_seconds(seconds: Mapping[str, float]) -> float:
    """What a model takes by itself of the steps of a reading; those before are the same for every model."""
    return sum(seconds.get(step, 0.0) for step in ("network", "localize"))


@dataclass(frozen=True)
class ExamResult:
    """What one run of the model says about one exam.

    Attributes:
        notes: How images were prepared where the header left a choice (WINDOW_ESTIMATED …), by view.
        unlike_training: Views that look unlike most of those that the model was trained on; `notes` say how.
        heatmaps: DIB map of each image read.
        seconds: Wall time of each step.
    """

    study_uid: str
    model: ModelIdentity
    operating_point: OperatingPoint
    scores: Scores
    findings: tuple[Finding, ...]
    heatmaps: Mapping[ViewKey, Heat] = field(default_factory=dict, compare=False, repr=False)
    notes: Mapping[ViewKey, tuple[str, ...]] = field(default_factory=dict)
    unlike_training: tuple[ViewKey, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def probability(self) -> float | None:
        """Probability of cancer of the exam, 0..1; None without a calibration."""
        calibration = self.operating_point.calibration
        return None if calibration is None else calibration.probability(self.scores.exam)

    def probability_of(self, finding: Finding) -> float | None:
        """Probability that a finding is a cancer, 0..1; None without a calibration.

        Calibrations are fitted to the scores of exams, and the peak of a region is higher than the score of
        its exam: no finding is more probably a cancer than its breast or its exam has one.
        """
        calibration = self.operating_point.calibration
        if calibration is None:
            return None
        breast = self.scores.breasts[finding.view.laterality]
        return calibration.probability(min(finding.score, breast, self.scores.exam))


@dataclass(frozen=True)
class Predecessor:
    """An earlier report of the same study that a new one replaces."""

    sop_class_uid: str
    sop_uid: str
    series_uid: str


@dataclass(frozen=True)
class Delivered(Predecessor):
    """A result of a study that a destination has, or is being sent.

    Attributes:
        revision: Of the study, the last one that the result was made of.
        withdraws: SOP Instance UID of the result that it takes back; empty where it takes none back.
    """

    kind: ResultKind
    variant: str
    view: ViewKey | None
    revision: int
    destination: str
    withdraws: str = ""


@dataclass(frozen=True)
class Result:
    """One DICOM instance that the node made.

    Attributes:
        variant: Tells apart results of one kind that destinations asked for differently (finding code).
        view: The image that an overlay belongs to.
        withdraws: SOP Instance UID of the result that this one takes back; empty where it takes none back.
    """

    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    kind: ResultKind
    sha256: str
    size: int
    variant: str = ""
    view: ViewKey | None = None
    withdraws: str = ""
