"""Findings drawn over their image: in place, each shape, in the color of its intent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from dibmg_node.dicom import colors
from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.sr.cad_content import CadFinding, Intent, LibraryImage, Shape
from dibmg_node.dicom.sr.picture import Marked, draw_findings
from dibmg_node.domain.study import Laterality, View
from tests.dicom.factories_results import R_CC, breast_image

UID = "1.2.3"
ABOUT = LibraryImage(1, UID, "1.2", Laterality.RIGHT, View.CC)
AMBER, CYAN = colors.WARNING, colors.OUTLINE


def finding(*shapes: tuple[str, str, tuple[tuple[float, float], ...]], sop_uid: str = UID) -> CadFinding:
    return CadFinding(
        path="1.3.1",
        composite=False,
        kind=Code("1", "DCM", "Something"),
        intent=Intent.REQUIRED,
        certainty=None,
        probability=None,
        shapes=tuple(Shape(name, kind, points, sop_uid) for name, kind, points in shapes),
        parts=(),
        algorithm=None,
        tracking_uid="",
        properties=(),
    )


def drawn(*findings: CadFinding, rows: int = 900, columns: int = 700, max_side: int = 0) -> NDArray[np.uint8]:
    marked = [Marked(number, one) for number, one in enumerate(findings, start=1)]
    return draw_findings(breast_image(R_CC, rows, columns), ABOUT, marked, "CAD: Maker", max_side)


def lit(picture: NDArray[np.uint8], color: colors.Color, scale: int = 1) -> NDArray[np.bool_]:
    """Where a picture has that hue, in a part of it that has neither words nor numbers."""
    window = np.zeros(picture.shape[:2], dtype=bool)
    window[380 // scale : 800 // scale, 493 // scale : 610 // scale] = True
    hue = np.array(color) - min(color)
    tint = picture.astype(int) - picture.min(axis=2, keepdims=True)
    return (
        window
        & (np.abs(tint - hue * (tint.max(axis=2, keepdims=True) / hue.max())).max(axis=2) < 12)
        & (tint.max(axis=2) > 30)
    )


def box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of what is lit, edges of pixels."""
    rows, columns = np.nonzero(mask)
    return (
        float(columns.min()),
        float(rows.min()),
        float(columns.max() + 1),
        float(rows.max() + 1),
    )


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("POLYLINE", ((500.0, 400.0), (600.0, 400.0), (600.0, 480.0), (500.0, 480.0), (500.0, 400.0))),
        ("CIRCLE", ((550.0, 440.0), (550.0, 490.0))),
        ("ELLIPSE", ((500.0, 440.0), (600.0, 440.0), (550.0, 400.0), (550.0, 480.0))),
    ],
)
@pytest.mark.parametrize("scale", [1, 2])
def test_every_shape_is_drawn_around_its_place(
    kind: str, points: tuple[tuple[float, float], ...], scale: int
) -> None:
    height = 100.0 if kind == "CIRCLE" else 80.0
    one = finding(("Outline", kind, points))

    picture = drawn(one, max_side=900 // scale)

    left, top, right, bottom = (scale * edge for edge in box(lit(picture, CYAN, scale)))
    assert (left + right) / 2 == pytest.approx(550.0, abs=2.0)
    assert (top + bottom) / 2 == pytest.approx(440.0, abs=2.0)
    assert right - left == pytest.approx(100.0, abs=2.0 + 2 * scale)
    assert bottom - top == pytest.approx(height, abs=2.0 + 2 * scale)


def test_a_cross_stands_on_its_point_to_half_a_pixel() -> None:
    one = finding(("Center", "POINT", ((500.5, 700.5),)))

    picture = drawn(one)

    left, top, right, bottom = box(lit(picture, CYAN))
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((500.5, 700.5), abs=0.5)


def test_the_intent_has_a_color() -> None:
    square = ("Outline", "POLYLINE", ((500.0, 500.0), (600.0, 500.0), (600.0, 600.0), (500.0, 500.0)))
    optional = replace(finding(square), intent=Intent.OPTIONAL)

    picture = drawn(optional)

    assert lit(picture, AMBER).sum() > 200
    assert lit(picture, CYAN).sum() == 0


def test_shapes_of_another_image_are_not_drawn() -> None:
    square = ("Outline", "POLYLINE", ((500.0, 500.0), (600.0, 500.0), (600.0, 600.0), (500.0, 500.0)))

    picture = drawn(finding(square, sop_uid="1.2.99"))

    assert lit(picture, CYAN).sum() == 0


def test_shapes_far_off_the_image_do_no_harm() -> None:
    far = 3.0e38
    shapes = (
        ("Outline", "POLYLINE", ((-far, 0.0), (far, far), (10.0, 1e9), (-far, 0.0))),
        ("Outline", "CIRCLE", ((far, far), (-far, -far))),
        ("Center", "POINT", ((-far, far),)),
    )

    picture = drawn(finding(*shapes))

    assert picture.shape == (900, 700, 3)


def test_a_picture_of_a_tiny_image_is_drawn() -> None:
    one = finding(("Center", "POINT", ((3.0, 3.0),)))

    assert drawn(one, rows=9, columns=7).shape == (9, 7, 3)


def test_calcifications_of_a_cluster_are_drawn_but_not_listed() -> None:
    spot = replace(finding(("Center", "POINT", ((500.5, 600.5),))), path="1.3.1.1")
    cluster = replace(finding(("Center", "POINT", ((500.5, 450.5),))), parts=("1.3.1.1",))
    alone = replace(spot, path="1.3.2")

    with_cluster, without = drawn(cluster, spot), drawn(cluster, alone)

    assert lit(with_cluster, CYAN)[590:610].sum() > 0
    assert (with_cluster != without).any()
    assert (lit(with_cluster, CYAN) == lit(without, CYAN)).all()
