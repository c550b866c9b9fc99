"""Odd exams on their way through the node: DICOM files in, result objects out, read back from their bytes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence

from dibmg_node.dicom import facts
from dibmg_node.dicom.header import instance_of, read_header
from dibmg_node.domain.exam import Exam
from dibmg_node.domain.image import Mammogram
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.result import ExamResult, Finding, ResultKind, Scores
from dibmg_node.domain.study import STANDARD_VIEWS, Study, ViewKey
from dibmg_node.services.images import Images, StudyFiles
from dibmg_node.services.reading import Reading, read_study
from dibmg_node.services.writing import Wish, Writing, write_results
from tests.factories import (
    MODEL,
    POINT,
    START,
    STUDY_UID,
    DrawnHeat,
    ReadsMammograms,
    breast_pixels,
    code,
    mammogram,
    part10,
)
from tests.programs import find_program

ROWS, COLUMNS = 400, 320
SIDE = 7
"""Of the planted square, pixels."""
HOTTEST = 0.75
CID_4015 = {modifier: code for code, (modifier, _) in facts.MODIFIER_CODES.items()}


class SquareSeeker(ReadsMammograms):
    """Satisfies `Predictor`: a view's heat, its score and its one finding are its brightest pixels."""

    def predict(self, exam: Exam, mammograms: Mapping[ViewKey, Mammogram]) -> ExamResult:
        heatmaps, findings = {}, []
        for number, (key, one) in enumerate(mammograms.items(), start=1):
            image = one.image()
            bright = image >= image.max() - 1e-3
            heatmaps[key] = np.where(bright, np.float32(HOTTEST), np.float32(0.0))
            row, column = (float(places.mean()) + 0.5 for places in np.nonzero(bright))
            outline = tuple((column + x, row + y) for x, y in ((-9, -9), (9, -9), (9, 9), (-9, 9), (-9, -9)))
            findings.append(Finding(number, key, exam.views[key].sop_uid, HOTTEST, (column, row), outline))
        views = dict.fromkeys(mammograms, HOTTEST)
        breasts = {key.laterality: HOTTEST for key in mammograms}
        scores = Scores(HOTTEST, breasts, views)
        return ExamResult(
            exam.study_uid,
            MODEL,
            POINT,
            scores,
            tuple(findings),
            heatmaps={key: DrawnHeat(one) for key, one in heatmaps.items()},
        )


@dataclass(frozen=True)
class Answer:
    """What the node writes about one study."""

    reading: Reading
    results: Sequence[FileDataset]

    @property
    def codes(self) -> dict[str, str]:
        """What became of each instance, by SOP Instance UID."""
        return {verdict.sop_uid: verdict.code for verdict in self.reading.selection.verdicts}

    @property
    def report(self) -> FileDataset:
        """The CAD SR."""
        (report,) = [one for one in self.results if one.SOPClassUID == facts.MAMMOGRAPHY_CAD_SR]
        return report

    @property
    def overlays(self) -> dict[str, FileDataset]:
        """Overlays by the SOP Instance UID of the image that they are drawn over."""
        captures = [one for one in self.results if one.SOPClassUID == facts.SECONDARY_CAPTURE]
        return {str(one.SourceImageSequence[0].ReferencedSOPInstanceUID): one for one in captures}

    @property
    def library(self) -> list[str]:
        """SOP Instance UIDs of the report's Image Library."""
        return [image_of(item) for item in _child(self.report, "Image Library").ContentSequence]

    @property
    def impression(self) -> list[str]:
        """Lines of the report's Impression Description."""
        return str(_named(self.report, "Impression Description")[0].TextValue).splitlines()

    @property
    def parameters(self) -> set[str]:
        """Algorithm Parameters of the report."""
        return {str(item.TextValue) for item in _named(self.report, "Algorithm Parameters")}

    @property
    def summary(self) -> list[str]:
        """Meanings of the findings summary, Summary of Detections and Summary of Analyses."""
        names = ("CAD Processing and Findings Summary", "Summary of Detections", "Summary of Analyses")
        return [str(_child(self.report, name).ConceptCodeSequence[0].CodeMeaning) for name in names]

    @property
    def centers(self) -> dict[str, tuple[float, float]]:
        """(column, row) of the report's findings, by the SOP Instance UID of the image they lie on."""
        centers = {}
        for place in _named(self.report, "Center"):
            (selected,) = place.ContentSequence
            image = _at(self.report, selected.ReferencedContentItemIdentifier)
            centers[image_of(image)] = (float(place.GraphicData[0]), float(place.GraphicData[1]))
        return centers

    def context(self, sop_uid: str) -> dict[str, str]:
        """Rows of one image's library entry: concept → code value, text or number."""
        (entry,) = [
            item for item in _child(self.report, "Image Library").ContentSequence if image_of(item) == sop_uid
        ]
        return {str(item.ConceptNameCodeSequence[0].CodeMeaning): _value(item) for item in _below(entry)}


def answer(
    folder: Path, datasets: Sequence[FileDataset], policy: ExamPolicy = ExamPolicy(), max_side: int = 0
) -> Answer:
    """Read data sets from files and write what the node says of them."""
    instances, paths = [], {}
    for number, dataset in enumerate(datasets):
        path = folder / f"{number}.dcm"
        path.write_bytes(part10(dataset))
        with path.open("rb") as file:
            instances.append(instance_of(read_header(file)))
        paths[instances[-1].sop_uid] = path
    files = StudyFiles(Study(STUDY_UID, 1, tuple(instances)), paths)
    writing = Writing((Wish(ResultKind.CAD_SR), Wish(ResultKind.OVERLAY)), START, max_side)
    reading = read_study(files, policy, Images(SquareSeeker(), writing.shown))
    written = write_results(reading, writing)
    return Answer(reading, [dcmread(BytesIO(one.content)) for one in written])


def planted(
    view: ViewKey, place: tuple[int, int] = (150, 180), rows: int = ROWS, columns: int = COLUMNS
) -> NDArray[np.uint16]:
    """12-bit pixels of a breast with one white square.

    Args:
        place: (column, row) of the square's center pixel, counted from the chest wall's side.
    """
    pixels = np.minimum(breast_pixels(view, rows, columns), 3600)
    from_wall, row = place
    column = columns - 1 - from_wall if view.laterality.value == "R" else from_wall
    half = SIDE // 2
    pixels[row - half : row + half + 1, column - half : column + half + 1] = 4095
    return pixels


def odd(view: ViewKey, pixels: NDArray[Any] | None = None, **changes: Any) -> FileDataset:
    """A mammogram with a planted square, changed."""
    return mammogram(view, pixels=planted(view) if pixels is None else pixels, **changes)


def screening(**changes: Any) -> list[FileDataset]:
    """The four standard views, each changed in the same way."""
    return [odd(view, **changes) for view in STANDARD_VIEWS]


def modified(dataset: FileDataset, *modifiers: Any) -> FileDataset:
    """A mammogram with view modifiers."""
    items = [code(CID_4015[modifier], "SCT", str(modifier.value)) for modifier in modifiers]
    dataset.ViewCodeSequence[0].ViewModifierCodeSequence = DicomSequence(items)
    return dataset


def hot_box(overlay: FileDataset) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what an overlay shows in red: first and last columns and rows."""
    red, green, blue = np.moveaxis(overlay.pixel_array.astype(int), 2, 0)
    rows, columns = np.nonzero((red > 200) & (red - green > 60) & (red - blue > 60))
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


def errors(folder: Path, result: FileDataset) -> list[str]:
    """What dciodvfy calls an error in a result."""
    path = folder / "checked.dcm"
    result.save_as(path)
    command = [find_program("dciodvfy"), "-new", str(path)]
    checked = subprocess.run(command, capture_output=True, check=False)
    told = (checked.stdout + checked.stderr).decode("utf-8", "replace").splitlines()
    assert any("MammographyCADSR" in line or "SCImage" in line for line in told), told
    return [line for line in told if line.startswith("Error")]


def image_of(item: Dataset) -> str:
    """SOP Instance UID of an IMAGE content item."""
    return str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)


def _items(node: Dataset) -> Iterator[Dataset]:
    for item in node.get("ContentSequence", ()):
        yield item
        yield from _items(item)


def _named(root: Dataset, meaning: str) -> list[Dataset]:
    return [
        item
        for item in _items(root)
        if "ConceptNameCodeSequence" in item and item.ConceptNameCodeSequence[0].CodeMeaning == meaning
    ]


def _child(node: Dataset, meaning: str) -> Dataset:
    (child,) = [item for item in _named(node, meaning) if item in node.ContentSequence]
    return child


def _below(entry: Dataset) -> list[Dataset]:
    return [item for item in _items(entry) if "ConceptNameCodeSequence" in item]


def _at(root: Dataset, position: Sequence[int]) -> Dataset:
    """The item at a position of the tree; the root is 1."""
    node = root
    for index in list(position)[1:]:
        node = node.ContentSequence[index - 1]
    return node


def _value(item: Dataset) -> str:
    if item.ValueType == "CODE":
        return str(item.ConceptCodeSequence[0].CodeValue)
    if item.ValueType == "NUM":
        return str(item.MeasuredValueSequence[0].NumericValue)
    return str(item.get("TextValue", item.get("Date", item.get("Time"))))
