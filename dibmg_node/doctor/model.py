"""The model: weights that are what they say, a runtime that can be opened, letters for the overlays."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from dibmg.runtime import check_runtime
from dibmg.runtime_choice import RuntimeKind
from dibmg.weights import load_weights
from dibmg_node.config import Settings
from dibmg_node.dicom.caption import RESEARCH_ONLY, SMALLEST_TEXT, Line, caption_panel
from dibmg_node.doctor.verdict import Verdict, bad, doubtful, well
from dibmg_node.errors import ConfigError, WeightsError


def examine(settings: Settings) -> Iterator[Verdict]:
    """Look at what reads an exam."""
    try:
        weights = load_weights(settings.weights)
    except WeightsError as error:
        remedy = "install the package again, or copy the folder of weights again"
        yield bad("weights", str(error), "files with the SHA-256 of their manifest", remedy)
    else:
        found = f"{weights.name} {weights.version}, SHA-256 {weights.sha256[:12]} as in the manifest"
        yield well("weights", found)
    kind = settings.model.runtime
    try:
        check_runtime(kind)
    except ConfigError as error:
        for complaint in error.complaints:
            yield bad(
                "runtime", complaint, "an installed runtime", "install what it names, or set model.runtime"
            )
    else:
        yield judge_devices(
            kind, sorted(Path("/dev").glob("nvidia[0-9]*")), find_spec("tensorflow") is not None
        )
    yield _judge_letters()


def judge_devices(kind: RuntimeKind, devices: list[Path], has_tensorflow: bool) -> Verdict:
    """Whether runtime and devices fit together.

    Args:
        kind: That the configuration asks for.
        devices: Of NVIDIA's driver.
        has_tensorflow: Whether it is installed.
    """
    gpus = f"{len(devices)} NVIDIA devices" if devices else "no GPU"
    found = f"{kind}; {gpus}, TensorFlow {'installed' if has_tensorflow else 'not installed'}"
    if devices and not has_tensorflow and kind is not RuntimeKind.OPENVINO:
        remedy = "install dibmg-node[gpu] to use the GPU, or set model.runtime to openvino"
        return doubtful("runtime", found, "TensorFlow where there is a GPU", remedy)
    if devices and kind is RuntimeKind.OPENVINO:
        return doubtful("runtime", found, "a runtime that uses the GPU", "set model.runtime to auto")
    if not devices and kind is RuntimeKind.TENSORFLOW:
        remedy = "set model.runtime to auto: OpenVINO is the faster one on a processor"
        return doubtful("runtime", found, "a GPU for TensorFlow", remedy)
    return well("runtime", found)


def _judge_letters() -> Verdict:
    """Draw what stands on every overlay."""
    try:
        panel = caption_panel([Line(RESEARCH_ONLY)], SMALLEST_TEXT, 1000)
    # Pillow without FreeType, or without its font, tells that by any of several exceptions
    except Exception as error:  # noqa: BLE001
        told = f"no letters ({type(error).__name__})"
    else:
        if panel is not None and panel.any():
            return well("fonts", "the caption of an overlay can be drawn")
        told = "the caption comes out empty"
    return bad(
        "fonts", told, "a font of Pillow's with FreeType", "install Pillow from its wheel, with FreeType"
    )
