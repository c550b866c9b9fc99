"""Training a network: segments of minibatches, a validation and a saved state after each."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import ceil, isfinite
from pathlib import Path
from typing import Final

import keras

from dibmg.network import build_network, first_member
from dibmg.training.backend import Devices, learn, make_deterministic
from dibmg.training.batches import Batches
from dibmg.training.examples import Examples
from dibmg.training.learner import make_learner
from dibmg.training.plan import Choice, TrainingPlan
from dibmg.training.validation import Validation, validate
from dibmg.weights import file_digest
from dibmg_node.errors import ConfigError, RejectedError

log = logging.getLogger(__name__)

BEST: Final = "best.weights.h5"
HISTORY: Final = "history.csv"
PROGRESS: Final = "progress.json"


@dataclass(frozen=True)
class Step:
    """Where a training run is, after a segment of it.

    Attributes:
        segment, segments: Segments done, and in all.
        epoch: Epochs done.
        loss: Mean over the segment's minibatches, the penalty on the kernels included.
        validation: None without validation examples.
    """

    segment: int
    segments: int
    epoch: float
    loss: float
    validation: Validation | None


def train(
    training: Examples,
    validation: Examples | None,
    plan: TrainingPlan,
    folder: Path,
    *,
    initial: Path | None = None,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
    report: Callable[[Step], None] | None = None,
) -> keras.Model:
    """Train a network; continues where an earlier call in the same folder stopped.

    A segment that was killed is repeated from its start: the same minibatches, so the same result.

    Args:
        training: Examples to learn from.
        validation: Examples to choose the best state by; None keeps the last.
        plan: Everything else.
        folder: Gets the state to resume from, `best.weights.h5`, `history.csv`.
        initial: Network (`.keras`; of a set of several, the first network of places) or its values
            (`.weights.h5`) to start from.
        threads: That prepare minibatches.
        progress: Called after every minibatch with those done and those in all.
        report: Called after every segment.

    Returns:
        The network of the chosen state.

    Raises:
        ConfigError: The plan checks an epoch more often than it has minibatches.
        RejectedError: The folder holds the state of another plan, other examples or other initial weights
            (the message tells which), the initial network has another architecture, or the training diverged:
            a loss is not finite. The states before are kept.
        WeightsError: The initial network cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    make_deterministic(plan.seed)
    batches = Batches(training, plan, threads)
    if plan.checks_per_epoch > batches.per_epoch:
        raise ConfigError(
            [
                f"checks_per_epoch: found {plan.checks_per_epoch}, expected at most {batches.per_epoch}, the "
                "minibatches of an epoch"
            ]
        )
    segments = plan.epochs * plan.checks_per_epoch
    total = plan.epochs * batches.per_epoch
    edges = [round(total * number / segments) for number in range(segments + 1)]
    identity = _identity(training, validation, plan, initial)
    done, best = _progress(folder, identity)
    devices = Devices()
    with devices.scope():
        network = build_network(plan.architecture, None, plan.weight_decay, plan.mixed_precision)
        learner = make_learner(network, plan, training, batches.per_epoch, devices.replicas)
        learner.optimizer.build(network.trainable_variables)
    if initial is not None and not done:
        _start_from(network, initial)
    if done:
        learner.build({name: values.shape for name, values in batches.batch(0).items()})
        learner.load_weights(_state(folder, done))
        log.info("training resumed", extra={"segment": done, "segments": segments})
    for segment in range(done + 1, segments + 1):
        first, last = edges[segment - 1], edges[segment]
        loss = learn(learner, batches, first, last, devices, _teller(progress, total))
        found = None if validation is None else validate(network, validation)
        step = Step(segment, segments, last / batches.per_epoch, loss, found)
        _require_finite(step, plan, folder)
        if found is not None and found.loss < best:
            best = found.loss
            network.save_weights(folder / BEST)
        learner.save_weights(_state(folder, segment))
        _record(folder, identity, step, best)
        log.info("segment done", extra={"segment": segment, "segments": segments, "loss": loss})
        if report is not None:
            report(step)
    if plan.choose is Choice.BEST and validation is not None:
        network.load_weights(folder / BEST)
    return network


def _teller(progress: Callable[[int, int], None] | None, total: int) -> Callable[[int], None]:
    def tell(number: int) -> None:
        if progress is not None:
            progress(number + 1, total)

    return tell


def _start_from(network: keras.Model, initial: Path) -> None:
    try:
        if initial.suffix == ".keras":
            found = keras.models.load_model(initial, compile=False)
            network.set_weights(first_member(found).get_weights())
        else:
            network.load_weights(initial)
    except ValueError as error:
        raise RejectedError(f"{initial}: a network of another architecture than the plan's") from error


def _require_finite(step: Step, plan: TrainingPlan, folder: Path) -> None:
    """Stop a training that has diverged, before its values take the place of earlier ones."""
    losses = {"loss": step.loss, "validation loss": 0.0 if step.validation is None else step.validation.loss}
    broken = [f"{what} is {value}" for what, value in losses.items() if not isfinite(value)]
    if broken:
        kept = f"; the best state before is {folder / BEST}" if (folder / BEST).exists() else ""
        raise RejectedError(
            f"the training diverged in epoch {ceil(step.epoch)}: its {' and its '.join(broken)}{kept}. Start "
            f"again in another folder with a learning_rate below {plan.learning_rate:g}, or with clip_norm"
        )


def _state(folder: Path, segment: int) -> Path:
    return folder / f"state-{segment}.weights.h5"


def _identity(
    training: Examples, validation: Examples | None, plan: TrainingPlan, initial: Path | None
) -> dict[str, str]:
    """SHA-256 of everything that the outcome of a training depends on, by what it is called to the user."""
    return {
        "plan": sha256(json.dumps(plan.as_json()).encode()).hexdigest(),
        "images or labels to learn from": training.digest(),
        "images or labels of the validation": "none" if validation is None else validation.digest(),
        "initial weights": "none" if initial is None else file_digest(initial),
    }


def _progress(folder: Path, identity: Mapping[str, str]) -> tuple[int, float]:
    """Segments done, and the lowest validation loss so far."""
    path = folder / PROGRESS
    if not path.exists():
        return 0, float("inf")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        earlier, done, best = found["identity"], int(found["segment"]), float(found["best"])
    except (KeyError, TypeError, ValueError) as error:
        raise RejectedError(f"{path} cannot be understood; choose another folder") from error
    if not isinstance(earlier, dict):
        raise RejectedError(
            f"{folder} holds the state of a training that an earlier version of this program began, and did "
            "not write down what it learned from; choose another folder"
        )
    others = [what for what, digest in identity.items() if earlier.get(what) != digest]
    if others:
        raise RejectedError(
            f"{folder} holds the state of another training (other {', other '.join(others)}); "
            "go on with those, or choose another folder"
        )
    return done, best


def _record(folder: Path, identity: Mapping[str, str], step: Step, best: float) -> None:
    """Note that a segment's state is complete; only then is the one before it dropped."""
    history = folder / HISTORY
    fresh = step.segment == 1 or not history.exists()
    rows: list[list[str]] = [] if fresh else list(csv.reader(history.read_text().splitlines()))[1:]
    rows = [row for row in rows if int(row[0]) < step.segment]
    found = step.validation
    figures = ["", ""] if found is None else [f"{found.loss:.6f}", f"{found.auc:.6f}"]
    rows.append([str(step.segment), f"{step.epoch:.3f}", f"{step.loss:.6f}", *figures])
    partial = folder / f"{HISTORY}.partial"
    with partial.open("w", newline="") as file:
        csv.writer(file).writerows([["segment", "epoch", "loss", "validation_loss", "validation_auc"], *rows])
    partial.replace(history)
    partial = folder / f"{PROGRESS}.partial"
    partial.write_text(json.dumps({"identity": identity, "segment": step.segment, "best": best}))
    partial.replace(folder / PROGRESS)
    for old in folder.glob("state-*.weights.h5"):
        if old != _state(folder, step.segment):
            old.unlink()
