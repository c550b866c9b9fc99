"""The file of operating points: thresholds chosen for one set of weights, with what they were chosen on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from dibmg.point_fields import STRICT, Count, Digest, MeasuredRate, Number, Share
from dibmg.reference_scores import ReferenceScores
from dibmg.weights import Weights
from dibmg_node.domain.device import ANY_DEVICE, Device, most_specific
from dibmg_node.errors import WeightsError

FORMAT: Final = 2
"""Format 1 knew thresholds of manufacturers alone, and no reference; it is still read."""
OPERATING_POINTS: Final = "operating-points.json"

_SATURATED: Final = 1e-7
"""Scores nearer to 0 or 1 than this count as this: float32 hardly tells them from 0 and 1."""


@dataclass(frozen=True)
class ChosenFor:
    """The weights that the points were chosen for; `sha256` is that of the weights of record."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    version: str
    sha256: Digest


@dataclass(frozen=True)
class Threshold:
    """The threshold for the exams of one device, or of a class of devices.

    Attributes:
        manufacturer: As the images name it (0008,0070); None for every exam without an entry of its own.
        threshold: Exam score 0..1 at and above which an exam is called.
        normals, cancers: Exams that it was chosen and measured on.
        model: As the images name it (0008,1090); None for every model of the manufacturer.
        software: As the images name it (0018,1020), joined by blanks; None for every version of the model.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    manufacturer: str | None
    threshold: Share
    sensitivity: MeasuredRate
    specificity: MeasuredRate
    normals: Count
    cancers: Count
    model: str | None = None
    software: str | None = None

    @property
    def device(self) -> Device:
        """Whose exams it is for."""
        return Device(self.manufacturer or "", self.model or "", self.software or "")


@dataclass(frozen=True, kw_only=True)
class PlattCalibration:
    """Probability of cancer 1 / (1 + exp(-(slope * logit(score) + intercept))) of an exam score.

    Attributes:
        population: The exams that it holds for, in words.
        prevalence: Share of cancers among them; in another population the probability is another one.
        brier: Mean squared error of the probability, on exams that the fit had not seen.
        n: Exams.

    Source: Platt 1999, Probabilistic outputs for support vector machines.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    kind: Literal["platt"] = "platt"
    slope: Number
    intercept: Number
    population: str
    prevalence: Share
    brier: Share
    n: Count

    def probability(self, score: float) -> float:
        """Probability of cancer, 0..1, of an exam score 0..1."""
        exponent = min(max(self.slope * logit(score) + self.intercept, -60.0), 60.0)
        return 1.0 / (1.0 + math.exp(-exponent))


@dataclass(frozen=True, kw_only=True)
class IsotonicCalibration:
    """Probability of cancer by linear interpolation in a table; fields as in `PlattCalibration`.

    Attributes:
        scores: Exam scores, rising; below the first and above the last the end values hold.
        probabilities: Of the scores, never falling.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    kind: Literal["isotonic"] = "isotonic"
    scores: tuple[Share, ...]
    probabilities: tuple[Share, ...]
    population: str
    prevalence: Share
    brier: Share
    n: Count

    def probability(self, score: float) -> float:
        """Probability of cancer, 0..1, of an exam score 0..1."""
        return float(np.interp(score, self.scores, self.probabilities))


FittedCalibration = PlattCalibration | IsotonicCalibration


@dataclass(frozen=True)
class OperatingPoints:
    """Operating points of one set of weights.

    Attributes:
        name: What results call the point.
        version: UTC date and the beginning of the content's SHA-256: no number changes without it.
        chosen_on: The exams and the target, in words.
        points: One with manufacturer None, and any number with one.
        calibration: None: the node may not speak of a probability.
        reference: Scores that they were chosen on, overall first; empty in a file of format 1.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    format: Literal[1, 2]
    name: Annotated[str, Field(min_length=1)]
    version: str
    weights: ChosenFor
    preprocessing_version: str
    chosen_on: str
    points: tuple[Threshold, ...]
    calibration: Annotated[FittedCalibration, Field(discriminator="kind")] | None
    reference: tuple[ReferenceScores, ...] = ()

    def point_for(self, device: Device) -> Threshold:
        """The entry of the device's version, else of its model, of its manufacturer, or the one for all."""
        found = most_specific({point.device.key: point for point in self.points}, device)
        assert found is not None  # one for all is there, or the file would not have been read
        return found

    def check_weights(self, weights: Weights) -> None:
        """Whether the points were chosen for these weights.

        Raises:
            WeightsError: They were chosen for others, or with another preprocessing; the message says which.
        """
        for what, found, expected in (
            ("SHA-256 of the weights", self.weights.sha256, weights.sha256),
            ("preprocessing version", self.preprocessing_version, weights.preprocessing_version),
        ):
            if found != expected:
                raise WeightsError(
                    f"operating points {self.name} {self.version} were chosen for weights "
                    f"{self.weights.name} {self.weights.version}: {what} is {found}, expected {expected} "
                    f"of weights {weights.name} {weights.version}"
                )

    def as_json(self) -> dict[str, Any]:
        """The content of the file."""
        return asdict(self)


def logit(score: float) -> float:
    """Log odds of a score 0..1, finite at 0 and 1 too."""
    clipped = min(max(score, _SATURATED), 1.0 - _SATURATED)
    return math.log(clipped / (1.0 - clipped))


def version_of(content: Mapping[str, Any], day: date | None = None) -> str:
    """Version of a file's content (`version` itself left out): UTC date and 12 digits of its SHA-256."""
    return f"{(day or datetime.now(UTC).date()).isoformat()}-{_digest(content)}"


def load_operating_points(path: Path, weights: Weights | None = None) -> OperatingPoints:
    """Read and check a file of operating points.

    Args:
        path: The file.
        weights: Where given, the points must have been chosen for them.

    Raises:
        WeightsError: The file is missing or not of this format, its content is not that of its version,
            it lacks a point for all devices or has two for one, its calibration falls, its reference is not
            in order, or it was chosen for other weights; the message says what was found and expected.
    """
    try:
        text = path.read_bytes()
        found: OperatingPoints = TypeAdapter(OperatingPoints).validate_json(text)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}, expected operating points") from error
    except ValidationError as error:
        complaints = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors()
        )
        raise WeightsError(f"{path} is no file of operating points: {complaints}") from error
    _check_format(path, found)
    _check_devices(path, "points", [point.device for point in found.points])
    _check_reference(path, found)
    _check_table(path, found.calibration)
    day, _, digest = found.version.rpartition("-")
    expected = _digest(json.loads(text))
    if digest != expected or not day:
        raise WeightsError(
            f"{path}: version is {found.version}, expected one that ends in {expected}: the content was "
            "changed without its version; choose the points again with 'dibmg evaluate'"
        )
    if weights is not None:
        found.check_weights(weights)
    return found


def write_operating_points(points: OperatingPoints, path: Path) -> None:
    """Write the file."""
    path.write_text(json.dumps(points.as_json(), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _check_format(path: Path, found: OperatingPoints) -> None:
    if found.format == 1 and (
        found.reference or any(point.model or point.software for point in found.points)
    ):
        raise WeightsError(f"{path} names models, versions or a reference: format is 1, expected {FORMAT}")


def _check_devices(path: Path, what: str, devices: Sequence[Device]) -> None:
    for device in devices:
        if not device.is_consistent:
            raise WeightsError(
                f"{path}: {what}: {device} lacks its manufacturer or its model, expected software with "
                "both and a model with its manufacturer"
            )
    keys = [device.key for device in devices]
    if keys.count(ANY_DEVICE) != 1:
        raise WeightsError(f"{path}: {keys.count(ANY_DEVICE)} {what} for all devices, expected one")
    twice = sorted({str(device) for device in devices if keys.count(device.key) > 1})
    if twice:
        raise WeightsError(f"{path}: {what}: more than one for {', '.join(twice)}, expected one each")


def _check_reference(path: Path, found: OperatingPoints) -> None:
    if not found.reference:
        return
    _check_devices(path, "reference", [one.device for one in found.reference])
    for one in found.reference:
        if len(one.scores) > one.exams or any(np.diff(one.scores) < 0):
            raise WeightsError(
                f"{path}: reference of {str(one.device) or 'all devices'} has {len(one.scores)} scores of "
                f"{one.exams} exams, expected rising scores, and no more than exams"
            )


def _check_table(path: Path, calibration: FittedCalibration | None) -> None:
    if isinstance(calibration, PlattCalibration) and calibration.slope <= 0:
        raise WeightsError(f"{path}: calibration slope is {calibration.slope:g}, expected above 0")
    if not isinstance(calibration, IsotonicCalibration):
        return
    scores, probabilities = calibration.scores, calibration.probabilities
    if len(scores) != len(probabilities) or not scores:
        raise WeightsError(
            f"{path}: calibration has {len(scores)} scores and {len(probabilities)} probabilities, "
            "expected as many of both"
        )
    if any(np.diff(scores) <= 0) or any(np.diff(probabilities) < 0):
        raise WeightsError(f"{path}: calibration falls, expected rising scores and probabilities")


def _digest(content: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != "version"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256(text.encode()).hexdigest()[:12]
