"""How a set is trained: every choice is a key, and the defaults are the paper's."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from math import inf
from pathlib import Path
from typing import Any, Final

from dibmg.architecture import PRESETS, Architecture, ViewPooling
from dibmg.scores import ExamPooling
from dibmg_node.errors import ConfigError

_COUNTS: Final = ("batch", "epochs", "checks_per_epoch", "decay_epochs", "examples_per_epoch", "map_pool")
_SHARES: Final = (
    "momentum",
    "label_smoothing",
    "view_dropout",
    *(f"augmentation.{name}" for name in ("flip_rows", "mirror", "blur", "erase", "insert_lesion")),
)
_LARGEST_SEED: Final = 2**32 - 1
"""Of NumPy's older generator, which Keras sets, too."""


class Unit(StrEnum):
    """What one training example is: its images share a label."""

    EXAM = "exam"
    BREAST = "breast"
    IMAGE = "image"


class Balance(StrEnum):
    """How unequal numbers of cancers and normals are made up for."""

    SAMPLING = "sampling"
    LOSS = "loss"
    NONE = "none"


class Schedule(StrEnum):
    """How the learning rate falls: in steps (the paper), or by half a cosine after a linear start."""

    STEPS = "steps"
    COSINE = "cosine"


class Choice(StrEnum):
    """Which state is kept: the best on the validation set (the paper), or the last."""

    BEST = "best"
    LAST = "last"


@dataclass(frozen=True)
class Augmentation:
    """What is changed at random in every view that is trained on.

    Attributes:
        contrast, brightness: Up to this share, inside the breast (the paper: 0.1 each).
        flip_rows: Chance that all views of an example are turned upside down.
        mirror: Chance that a view is shown as one of the other side.
        rotation: Degrees, either way, about the chest wall.
        zoom: Up to this share, either way.
        shift: Along the chest wall, up to this share of the side, either way.
        gamma: Exponent up to this share, either way.
        blur: Chance that a view loses sharpness, as by a coarser detector or a stronger filter.
        erase: Chance that a square of a tenth to three tenths of the side becomes one gray inside the breast,
            so that no single place decides (DeVries and Taylor 2017, arXiv:1708.04552). The breast keeps its
            label, cells under the square count as without cancer.
        insert_lesion: Chance that a view of a negative breast gets a synthetic lesion, and its label with it.
    """

    contrast: float = 0.1
    brightness: float = 0.1
    flip_rows: float = 0.0
    mirror: float = 0.0
    rotation: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    gamma: float = 0.0
    blur: float = 0.0
    erase: float = 0.0
    insert_lesion: float = 0.0


@dataclass(frozen=True)
class TrainingPlan:
    """How a set is trained.

    Attributes:
        preset: Name of an architecture; `pooling` and `map_pool` replace what it says.
        input_size: Side of the square input, pixels; a multiple of the map stride.
        wall_columns: Train on this many columns next to the chest wall only: with `pooling = "breast"` what
            lies beyond is air as a rule, and does not count. None: whole views.
        unit: What one example is.
        batch: Examples a minibatch (the paper: 16 exams = 64 images).
        epochs: Passes; one is `examples_per_epoch` examples, or as many as there are.
        schedule, learning_rate: `steps` divides the rate by `decay_factor` every `decay_epochs`.
        warmup_epochs: Linear start of `cosine`.
        weight_decay: Half of this times the squared norm of every convolution's kernel.
        clip_norm: Longest gradient; 0 = none.
        exam_weight, breast_weight: Weights of the two losses; breasts count where their label is known.
        place_weight: Weight of the loss of the map's cells, on images whose manifest says where the cancer is
            (mask or circle) or that there is none; 0 (the paper): no place is told.
        label_smoothing: Share of a label that goes to the other class.
        view_dropout: Chance that a view is left out of the means, so that missing views are safe.
        mixed_precision: Convolutions in bfloat16; map, means and loss stay float32. Without it they are
            float32 on a CPU, and what the backend takes for it on a GPU: with TensorFlow TF32 from NVIDIA's
            Ampere on.
        checks_per_epoch: Validations, each with a saved state to resume from, a epoch.
    """

    preset: str = "paper"
    pooling: ViewPooling = ViewPooling.SQUARE
    map_pool: int | None = None
    input_size: int = 1600
    wall_columns: int | None = None
    unit: Unit = Unit.EXAM
    exam_pooling: ExamPooling = ExamPooling.MAXIMUM
    batch: int = 16
    epochs: int = 30
    examples_per_epoch: int | None = None
    schedule: Schedule = Schedule.STEPS
    learning_rate: float = 0.001
    decay_factor: float = 5.0
    decay_epochs: int = 10
    warmup_epochs: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 0.0005
    clip_norm: float = 0.0
    exam_weight: float = 1.0
    breast_weight: float = 1.0
    place_weight: float = 0.0
    label_smoothing: float = 0.0
    balance: Balance = Balance.SAMPLING
    view_dropout: float = 0.1
    mixed_precision: bool = False
    choose: Choice = Choice.BEST
    checks_per_epoch: int = 1
    seed: int = 1
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def architecture(self) -> Architecture:
        """That of the preset, with what the plan replaces."""
        preset = PRESETS[self.preset]
        return replace(preset, view_pooling=self.pooling, map_pool=self.map_pool or preset.map_pool)

    def as_json(self) -> dict[str, Any]:
        """Plain values: the plan as it is written beside the weights."""
        return asdict(self)


def read_plan(path: Path | None = None, changes: Sequence[str] = ()) -> TrainingPlan:
    """The paper's plan, changed by a TOML file and by `key=value` words.

    Args:
        path: Keys of `TrainingPlan`, and a table `[augmentation]`.
        changes: `epochs=3`, `augmentation.rotation=10`; values as in TOML, words without quotes allowed.

    Raises:
        ConfigError: Every unknown key and value of the wrong kind, at once.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError([f"{path}: {error}"]) from error
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise ConfigError([f"{change!r}: expected key=value"])
        _put(values, key.strip().split("."), _value(text.strip()))
    return plan_of(values)


def plan_of(values: Mapping[str, Any]) -> TrainingPlan:
    """A plan of plain values; what is not named keeps its default.

    Raises:
        ConfigError: As `read_plan`.
    """
    complaints: list[str] = []
    augmentation = values.get("augmentation", {})
    checked = _checked(TrainingPlan, {k: v for k, v in values.items() if k != "augmentation"}, "", complaints)
    if not isinstance(augmentation, Mapping):
        complaints.append(f"augmentation: found {augmentation!r}, expected a table")
    else:
        checked["augmentation"] = Augmentation(
            **_checked(Augmentation, augmentation, "augmentation.", complaints)
        )
    if not complaints:
        complaints += _conflicts(TrainingPlan(**checked))
    if complaints:
        raise ConfigError(complaints)
    return TrainingPlan(**checked)


def _conflicts(plan: TrainingPlan) -> list[str]:
    values = plan.as_json()
    values |= {f"augmentation.{name}": value for name, value in values.pop("augmentation").items()}
    found = []
    if plan.preset not in PRESETS:
        found.append(f"preset: found {plan.preset!r}, expected one of {', '.join(sorted(PRESETS))}")
    else:
        stride = plan.architecture.stride
        found += [
            f"{name}: found {values[name]}, expected a multiple of {stride}, the map stride of {plan.preset}"
            for name in ("input_size", "wall_columns")
            if values[name] is not None and (values[name] <= 0 or values[name] % stride)
        ]
    found += [
        f"{name}: found {values[name]}, expected at least 1"
        for name in _COUNTS
        if values[name] is not None and values[name] < 1
    ]
    found += [
        f"{name}: found {values[name]:g}, expected 0 to 1" for name in _SHARES if not 0 <= values[name] <= 1
    ]
    if not 0 <= plan.seed <= _LARGEST_SEED:
        found.append(f"seed: found {plan.seed}, expected 0 to {_LARGEST_SEED}")
    if plan.decay_factor <= 0:
        found.append(f"decay_factor: found {plan.decay_factor:g}, expected more than 0")
    if plan.wall_columns is not None and plan.pooling is ViewPooling.SQUARE:
        found.append(
            'wall_columns: a part of a view has the score of the whole only with pooling = "breast" or "peak"'
        )
    if plan.exam_weight <= 0 and plan.breast_weight <= 0 and plan.place_weight <= 0:
        found.append("exam_weight, breast_weight and place_weight: all are 0, so there is nothing to learn")
    return found


def _checked(kind: type, values: Mapping[str, Any], prefix: str, complaints: list[str]) -> dict[str, Any]:
    """Values of the fields' types; complaints for the others."""
    defaults = {one.name: getattr(kind(), one.name) for one in fields(kind) if one.name != "augmentation"}
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in defaults:
            complaints.append(f"{prefix}{name}: unknown; there are {', '.join(sorted(defaults))}")
            continue
        default = defaults[name]
        if isinstance(default, StrEnum):
            words = [one.value for one in type(default)]
            if value in words:
                checked[name] = type(default)(value)
            else:
                complaints.append(f"{prefix}{name}: found {value!r}, expected one of {', '.join(words)}")
        elif default is None or (isinstance(default, int) and not isinstance(default, bool)):
            if (value is None and default is None) or (
                isinstance(value, int) and not isinstance(value, bool)
            ):
                checked[name] = value
            else:
                complaints.append(f"{prefix}{name}: found {value!r}, expected a whole number")
        elif isinstance(default, float):
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < inf:
                checked[name] = float(value)
            else:
                complaints.append(f"{prefix}{name}: found {value!r}, expected a finite number of at least 0")
        elif isinstance(value, type(default)):
            checked[name] = value
        else:
            complaints.append(f"{prefix}{name}: found {value!r}, expected a {type(default).__name__}")
    return checked


def _put(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for name in path[:-1]:
        values = values.setdefault(name, {})
    values[path[-1]] = value


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
