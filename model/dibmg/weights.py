"""Sets of weights: a folder with a manifest, the weights of record, their OpenVINO form and a model card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from dibmg.architecture import AIR, Architecture, Context
from dibmg.contrast_range import ContrastRange
from dibmg.manifest_fields import count_of, share_of, text_of
from dibmg.preprocessing_version import PREPROCESSING_VERSION
from dibmg.scores import ExamPooling
from dibmg_node.domain.result import OperatingPoint
from dibmg_node.errors import WeightsError

RELEASED: Final = Path(__file__).parent / "weights"
"""Weights that come with the package, one folder a set."""

MANIFEST: Final = "manifest.json"
KERAS: Final = "weights.keras"
OPENVINO: Final = "weights.xml"
OPENVINO_VALUES: Final = "weights.bin"
MODEL_CARD: Final = "MODEL_CARD.md"
FILES: Final = (KERAS, OPENVINO, OPENVINO_VALUES)


@dataclass(frozen=True)
class Weights:
    """A verified set of weights.

    Attributes:
        folder: Where its files are.
        sha256: Of the weights of record (`weights.keras`).
        preset: Name of the architecture it started from; `architecture` counts.
        members: Networks of this architecture whose maps are averaged.
        context: Networks beside them that see a view as a whole; None where there are none.
        input_size: Side of the network input, pixels.
        local_contrast: Of most views that it was trained on; None where the manifest does not say.
        operating_points: By name; `default` is among them.
        how: The command that made it.
    """

    folder: Path
    name: str
    version: str
    sha256: str
    preset: str
    architecture: Architecture
    members: int
    context: Context | None
    input_size: int
    preprocessing_version: str
    exam_pooling: ExamPooling
    local_contrast: ContrastRange | None
    operating_points: Mapping[str, OperatingPoint]
    trained_on: str
    license: str
    attribution: str
    how: str

    def operating_point(self, name: str) -> OperatingPoint:
        """The operating point of this name.

        Raises:
            WeightsError: There is none; the message lists those that there are.
        """
        if name not in self.operating_points:
            known = ", ".join(sorted(self.operating_points))
            raise WeightsError(
                f"weights {self.name} have no operating point {name!r}, expected one of: {known}"
            )
        return self.operating_points[name]

    def check_network(self, view: Sequence[int | None], raw_map: Sequence[int | None]) -> None:
        """Whether a network that was loaded is the one that the manifest tells of.

        Args:
            view: Shape of what it takes, without the axis of views.
            raw_map: Shape of the map that it gives, the same.

        Raises:
            WeightsError: It takes or gives another size; the message says which.
        """
        size = self.input_size
        cells = size // self.architecture.stride
        _expect(self.folder, "input of the network", tuple(view), (size, size, 1))
        _expect(self.folder, "map of the network", tuple(raw_map), (cells, cells, 2))


def list_weights() -> tuple[str, ...]:
    """Names of the released sets."""
    return tuple(sorted(path.parent.name for path in RELEASED.glob(f"*/{MANIFEST}")))


def resolve(name_or_folder: str | Path) -> Path:
    """The folder of a released set, or the folder given.

    Raises:
        WeightsError: It is neither; the message lists the released names.
    """
    text = str(name_or_folder)
    if text in list_weights():
        return RELEASED / text
    folder = Path(name_or_folder)
    if folder.is_dir():
        return folder
    released = ", ".join(list_weights()) or "none"
    raise WeightsError(f"no weights {text!r}: neither a folder nor a released set (released: {released})")


def load_weights(name_or_folder: str | Path) -> Weights:
    """Read a set's manifest and verify everything that it says about the files and this program.

    The files are not loaded: whether the network is the one that the manifest tells of, a runtime finds out.

    Raises:
        WeightsError: The manifest is missing or incomplete, a field of it is not what it must be, two
            operating points have one name, a file is missing or differs from its SHA-256, the set is
            untrained, or it was trained with another preprocessing; the message says what was found and
            what was expected.
    """
    folder = resolve(name_or_folder)
    fields = _read_manifest(folder / MANIFEST)
    try:
        weights = _weights(folder, fields)
        files = {str(name): str(digest) for name, digest in fields["files"].items()}
        trained = fields["trained"] is True
        padding = fields["padding"]
        stride = fields["map_stride"]
    except KeyError as error:
        raise WeightsError(f"{folder / MANIFEST} lacks the field {error}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise WeightsError(f"{folder / MANIFEST} cannot be understood: {error}") from error
    _expect(folder, "preprocessing version", weights.preprocessing_version, PREPROCESSING_VERSION)
    _expect(folder, "padding", padding, AIR)
    _expect(folder, "map stride", stride, weights.architecture.stride)
    if not trained:
        raise WeightsError(f"weights in {folder} are untrained, expected trained ones")
    if "default" not in weights.operating_points:
        raise WeightsError(f"{folder / MANIFEST} has no operating point 'default'")
    for name in FILES:
        if name not in files:
            raise WeightsError(f"{folder / MANIFEST} names no SHA-256 for {name}")
    for name, digest in files.items():
        _expect(folder, f"SHA-256 of {name}", file_digest(folder / name), digest)
    return weights


def _expect(folder: Path, what: str, found: object, expected: object) -> None:
    if found != expected:
        raise WeightsError(f"weights in {folder}: {what} is {found}, expected {expected}")


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read: {error.strerror}, expected the weights' manifest"
        ) from error
    except ValueError as error:
        raise WeightsError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(fields, dict):
        raise WeightsError(f"{path} holds a {type(fields).__name__}, expected an object")
    return fields


def file_digest(path: Path) -> str:
    """SHA-256 of a file of weights, in hexadecimal digits.

    Raises:
        WeightsError: It cannot be read.
    """
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read: {error.strerror}, expected a file of the weights"
        ) from error


def _weights(folder: Path, fields: Mapping[str, Any]) -> Weights:
    return Weights(
        folder=folder,
        name=text_of(fields, "name"),
        version=text_of(fields, "version"),
        sha256=text_of(fields["files"], KERAS),
        preset=text_of(fields, "preset"),
        architecture=Architecture.from_json(fields["architecture"]),
        members=count_of(fields, "members") if "members" in fields else 1,
        context=Context.from_json(fields["context"]) if "context" in fields else None,
        input_size=count_of(fields, "input_size"),
        preprocessing_version=text_of(fields, "preprocessing_version"),
        exam_pooling=ExamPooling(fields["exam_pooling"]),
        local_contrast=(
            ContrastRange.from_json(fields["local_contrast"]) if "local_contrast" in fields else None
        ),
        operating_points=_operating_points(fields["operating_points"]),
        trained_on=text_of(fields, "trained_on"),
        license=text_of(fields, "license"),
        attribution=text_of(fields, "attribution"),
        how=text_of(fields, "how"),
    )


def _operating_points(entries: Sequence[Mapping[str, Any]]) -> dict[str, OperatingPoint]:
    points: dict[str, OperatingPoint] = {}
    for entry in entries:
        point = _operating_point(entry)
        if point.name in points:
            raise ValueError(f"more than one operating point {point.name!r}, expected one of a name")
        points[point.name] = point
    return points


def _operating_point(entry: Mapping[str, Any]) -> OperatingPoint:
    if entry["calibration"] is not None:
        raise ValueError("it holds a calibration, which only a file of operating points may")
    return OperatingPoint(
        name=text_of(entry, "name"),
        threshold=share_of(entry, "threshold"),
        version=text_of(entry, "version"),
        sensitivity=None if entry["sensitivity"] is None else share_of(entry, "sensitivity"),
        specificity=None if entry["specificity"] is None else share_of(entry, "specificity"),
        chosen_on=text_of(entry, "chosen_on"),
    )
