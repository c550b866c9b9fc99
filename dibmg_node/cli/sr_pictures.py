"""Pictures of a report's findings: its images looked up in a folder, drawn on, written as PNG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as Picture
from pydicom import dcmread

from dibmg_node.cli.exits import EXIT_FAILED, fail
from dibmg_node.dicom.header import read_header, texts_of
from dibmg_node.dicom.mammogram import read_mammogram
from dibmg_node.dicom.pixels import PixelsUnreadableError
from dibmg_node.dicom.sr.cad_content import CadContent, LibraryImage
from dibmg_node.dicom.sr.picture import Marked, draw_findings
from dibmg_node.domain.image import Image
from dibmg_node.errors import InstanceRejectedError


@dataclass(frozen=True)
class Pictures:
    """What became of a report's images.

    Attributes:
        written: PNG files.
        missing: Why other images have none, in words.
    """

    written: tuple[Path, ...]
    missing: tuple[str, ...]


def draw_report(content: CadContent, folder: Path, out: Path) -> Pictures:
    """Draw the findings on each image of a report that is in a folder."""
    paths = find_images(folder, set(content.images))
    maker = " ".join(filter(None, (content.manufacturer, content.model))) or "unknown CAD"
    marked = [Marked(number, one) for number, one in enumerate(content.findings, start=1)]
    written, missing = [], []
    for place, image in enumerate(content.images.values(), start=1):
        if image.sop_uid not in paths:
            missing.append(f"image {image.name} {image.sop_uid} is not in {folder}")
            continue
        try:
            pixels = _pixels(paths[image.sop_uid])
        except PixelsUnreadableError as error:
            missing.append(f"image {image.name} {image.sop_uid}: {error}")
            continue
        on_it = [one for one in marked if image.sop_uid in one.finding.sop_uids]
        path = out / f"{_name(place, image)}.png"
        try:
            out.mkdir(parents=True, exist_ok=True)
            Picture.fromarray(draw_findings(pixels, image, on_it, f"CAD: {maker}")).save(path)
        except OSError as error:
            fail(f"{path}: {error.strerror or error}", EXIT_FAILED)
        written.append(path)
    return Pictures(tuple(written), tuple(missing))


def find_images(folder: Path, sop_uids: set[str]) -> Mapping[str, Path]:
    """Files below a folder by SOP Instance UID, those that are asked for; others are passed over."""
    found: dict[str, Path] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "DICOMDIR"):
        try:
            with path.open("rb") as file:
                header = read_header(file)
        except (InstanceRejectedError, OSError):
            continue
        for sop_uid in texts_of(header, "SOPInstanceUID"):
            if sop_uid in sop_uids:
                found.setdefault(sop_uid, path)
    return found


def _pixels(path: Path) -> Image:
    """Raises PixelsUnreadableError."""
    try:
        return read_mammogram(dcmread(path)).image()
    except PixelsUnreadableError:
        raise
    # its header was read a moment ago: what is behind it is damaged, or gone
    except Exception as error:
        raise PixelsUnreadableError(f"cannot be read ({type(error).__name__})") from error


def _name(place: int, image: LibraryImage) -> str:
    return f"{place:02d}-{image.name.replace('?', 'x')}"
