"""Whether the node read the exam as its weights do by themselves, and whether they see the lesion at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dibmg_node.errors import SelfTestBrokenError
from dibmg_node.selftest.specimen import LesionCircle, Specimen

_SAME: Final = 0.001
"""Scores of one runtime and precision differ by less than this between two runs."""
_ALIKE: Final = 0.05
"""Of two runtimes, or precisions."""
_PIXELS: Final = 8.0
"""How far an outline of one and the same finding may be off: less than a hundredth of the image."""

Reading = Mapping[str, Any]
"""As `result.json` has it."""


def sees_lesion(reading: Reading, specimen: Specimen) -> bool:
    """Whether the hottest finding of every view that has the lesion has its center inside it."""
    for key, lesion in specimen.lesions.items():
        hottest = _hottest(reading, str(key))
        if hottest is None or not lesion.holds(*hottest["center"]):
            return False
    return True


def check_agreement(found: Reading, expected: Reading, specimen: Specimen) -> str:
    """What the node found, in words.

    Weights that see the lesion when they read the exam by themselves must see it in the node. Of weights
    that do not, as a site's own may not know what is drawn here, no more can be asked than that the node
    finds what they find.

    Raises:
        SelfTestBrokenError: It used other weights, gave another score, or found something else.
    """
    _check_model(found, expected)
    alike = all(found["model"][name] == expected["model"][name] for name in ("runtime", "precision"))
    score, should = found["scores"]["exam"], expected["scores"]["exam"]
    if abs(score - should) > (_SAME if alike else _ALIKE):
        raise SelfTestBrokenError(
            f"the exam scores {score:.4f} in the node and {should:.4f} by direct analysis",
            "restart the node; if it stays so, compare processor, runtime and precision ('dibmg doctor')",
        )
    if not sees_lesion(expected, specimen):
        _check_findings(found, expected, specimen.lesions)
        return f"score {score:.3f} and findings as by direct analysis; these weights do not see this lesion"
    if not sees_lesion(found, specimen):
        raise SelfTestBrokenError(
            "the hottest finding is outside the known lesion, though direct analysis has it inside",
            "restart the node; if it stays so, do not use its results, and report it",
        )
    _check_findings(found, expected, specimen.lesions)
    return f"score {score:.3f}, the hottest finding lies in the lesion in {len(specimen.lesions)} views"


def _check_model(found: Reading, expected: Reading) -> None:
    used, configured = found["model"]["sha256"], expected["model"]["sha256"]
    if used != configured:
        raise SelfTestBrokenError(
            f"the node reads with weights {used[:12]}, the configuration names {configured[:12]}",
            "restart the node: its workers loaded the weights before the configuration was changed",
        )


def _check_findings(found: Reading, expected: Reading, lesions: Mapping[Any, LesionCircle]) -> None:
    """Whether the hottest findings of the views with the lesion have the same outlines."""
    for view in map(str, lesions):
        one, other = _hottest(found, view), _hottest(expected, view)
        if one is None and other is None:
            continue
        if one is None or other is None or _farthest(one["outline"], other["outline"]) > _PIXELS:
            raise SelfTestBrokenError(
                f"{view}: the hottest finding has another outline than by direct analysis",
                "restart the node; if it stays so, compare processor, runtime and precision",
            )


def _hottest(reading: Reading, view: str) -> Mapping[str, Any] | None:
    of_view = [one for one in reading["findings"] if one["view"] == view]
    return max(of_view, key=lambda one: float(one["score"]), default=None)


def _farthest(outline: Any, other: Any) -> float:
    """How far the boxes around two outlines differ, pixels."""
    boxes = [
        [edge(point[axis] for point in points) for axis in (0, 1) for edge in (min, max)]
        for points in (outline, other)
    ]
    return float(max(abs(one - two) for one, two in zip(*boxes, strict=True)))
