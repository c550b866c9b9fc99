"""Small made-up trees of published mammography data sets: true names of files and columns, no true data."""

from __future__ import annotations

import csv
import json
import plistlib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import cv2
import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dibmg_node.dicom.facts import MG_FOR_PRESENTATION

VIEW_CODES = {"CC": "399162004", "MLO": "399368009"}
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def write_csv(path: Path, columns: str, lines: Iterable[Sequence[object]], separator: str = ",") -> Path:
    """A table; `columns` as its first line has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(columns + "\n")
        csv.writer(file, delimiter=separator, lineterminator="\n").writerows(lines)
    return path


def write_workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[object]]]) -> Path:
    """A workbook as spreadsheet programs write it: texts shared, numbers as numbers, no empty cells."""
    texts = sorted({str(cell) for rows in sheets.values() for row in rows for cell in row if _is_text(cell)})
    with zipfile.ZipFile(path, "w") as parts:
        names = [
            f'<sheet name="{escape(name)}" sheetId="{place}" r:id="rId{place}"/>'
            for place, name in enumerate(sheets, start=1)
        ]
        parts.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{"".join(names)}</sheets></workbook>',
        )
        places = [
            f'<Relationship Id="rId{place}" Type="worksheet" Target="worksheets/sheet{place}.xml"/>'
            for place in range(1, len(sheets) + 1)
        ]
        parts.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{_PACKAGE}">{"".join(places)}</Relationships>',
        )
        shared = "".join(f"<si><t>{escape(text)}</t></si>" for text in texts)
        parts.writestr("xl/sharedStrings.xml", f'<sst xmlns="{_MAIN}">{shared}</sst>')
        for place, rows in enumerate(sheets.values(), start=1):
            lines = "".join(_sheet_row(number, row, texts) for number, row in enumerate(rows, start=1))
            parts.writestr(
                f"xl/worksheets/sheet{place}.xml",
                f'<worksheet xmlns="{_MAIN}"><sheetData>{lines}</sheetData></worksheet>',
            )
    return path


def write_dicom(
    path: Path,
    patient: str = "",
    side: str = "",
    view: str = "",
    series_uid: str = "1.2.3.4",
    size: tuple[int, int] = (6, 4),
) -> Path:
    """A DICOM file of (rows, columns) black pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = MG_FOR_PRESENTATION
    meta.MediaStorageSOPInstanceUID = f"1.2.3.{len(str(path))}.{sum(map(ord, str(path)))}"
    header = FileDataset(None, {}, preamble=b"\0" * 128, file_meta=meta)
    header.SOPClassUID = MG_FOR_PRESENTATION
    header.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    header.StudyInstanceUID = "1.2.3"
    header.SeriesInstanceUID = series_uid
    header.PatientID = patient
    if side:
        header.ImageLaterality = side
    if view:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = VIEW_CODES[view], "SCT", view
        header.ViewCodeSequence = [code]
    header.Rows, header.Columns = size
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit, header.PixelRepresentation, header.SamplesPerPixel = 7, 0, 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.PixelData = bytes(size[0] * size[1])
    header.save_as(path, enforce_file_format=True)
    return path


def write_picture(path: Path) -> Path:
    """A small black picture, of the format that the name tells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((8, 8), np.uint8))
    return path


def write_regions(path: Path, regions: Iterable[tuple[str, Sequence[tuple[float, float]]]]) -> Path:
    """An annotation of INbreast: OsiriX regions of (name, points)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rois = [
        {"Name": name, "NumberOfPoints": len(points), "Point_px": [f"({x:.6f}, {y:.6f})" for x, y in points]}
        for name, points in regions
    ]
    path.write_bytes(plistlib.dumps({"Images": [{"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": rois}]}))
    return path


def outline(name: str, **numbers: object) -> str:
    """A shape as the VGG Image Annotator writes it."""
    return json.dumps({"name": name, **numbers})


def _is_text(cell: object) -> bool:
    return isinstance(cell, str) and cell != ""


def _sheet_row(number: int, row: Sequence[object], texts: Sequence[str]) -> str:
    cells = [
        f'<c r="{chr(ord("A") + place)}{number}" t="s"><v>{texts.index(str(cell))}</v></c>'
        if _is_text(cell)
        else f'<c r="{chr(ord("A") + place)}{number}"><v>{cell}</v></c>'
        for place, cell in enumerate(row)
        if cell != ""
    ]
    return f'<row r="{number}">{"".join(cells)}</row>'
