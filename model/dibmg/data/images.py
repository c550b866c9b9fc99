"""Images of a manifest: pixels with their window, and the area of a lesion."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dibmg.data.manifest import ImageRow
from dibmg.data.rasters import RasterError, is_jpeg, read_raster
from dibmg_node.dicom.mammogram import read_mammogram
from dibmg_node.dicom.pixels import PixelsUnreadableError, decode
from dibmg_node.domain.image import Mammogram
from dibmg_node.errors import RejectedError

_DIRECTION: Final = re.compile(r"[APLRHF]{1,3}")
"""A value of Patient Orientation; old archives put the view's name there. Source: PS3.3 C.7.6.1.1.1."""


class ImageUnreadableError(RejectedError):
    """A file of a manifest is missing, damaged, or not what it should be."""


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """One image of a manifest.

    Attributes:
        mammogram: Stored values with their window.
        orientation: Patient Orientation: direction of the rows, then of the columns; () where unknown.
    """

    mammogram: Mammogram
    orientation: tuple[str, ...]


def load_image(row: ImageRow, least_side: int = 0) -> LoadedImage:
    """Decode one image by the node's own rules; its content tells the format, not its name.

    The window is that of the row; else, of DICOM, the one that the node takes; of 8-bit pictures the full
    range 0 to 255; of 16-bit pictures the 1st to 99.5th percentile inside the breast.

    Args:
        row: Of a manifest.
        least_side: So many pixels on the longer side will do, of DICOM (as for `decode`); 0: every pixel.

    Raises:
        ImageUnreadableError: No such file, not DICOM, PNG, PGM or JPEG, damaged, cut off or in color; the
            message names the file and its line in the manifest.
    """
    content = _content(row.path, row)
    try:
        instance = _dicom(content) if _is_dicom(content) else _as_instance(read_raster(content))
        if row.window is not None:
            # a decimal string has 16 characters at most
            instance.WindowCenter, instance.WindowWidth = (f"{value:.10g}" for value in row.window)
            instance.VOILUTFunction = "LINEAR"
        return LoadedImage(read_mammogram(instance, least_side), _orientation(instance))
    except (PixelsUnreadableError, RasterError) as error:
        raise ImageUnreadableError(f"{_at(row)}: {row.path}: {error}") from error


def stored_values(row: ImageRow) -> NDArray[Any]:
    """The pixels of one image as its file stores them, without a window.

    Raises:
        ImageUnreadableError: As for `load_image`.
    """
    content = _content(row.path, row)
    try:
        return decode(_dicom(content)) if _is_dicom(content) else read_raster(content)
    except (PixelsUnreadableError, RasterError) as error:
        raise ImageUnreadableError(f"{_at(row)}: {row.path}: {error}") from error


def lesion_area(row: ImageRow, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Where the lesion of an image is.

    Args:
        row: With a mask or a circle; the mask counts where it has both.
        shape: (rows, columns) of the image.

    Returns:
        bool (rows, columns) on the stored grid, or None where no place is known.

    Raises:
        ImageUnreadableError: The mask cannot be read, is on another grid or marks nothing, or the circle
            lies outside the image.
    """
    if row.mask is not None:
        return _masked(row, row.mask, shape)
    if row.lesion is None:
        return None
    rows, columns = shape
    v, u = np.ogrid[0:rows, 0:columns]
    # at least half a diagonal: the smallest lesion is the pixel that its center lies in
    radius = max(row.lesion.radius, 0.5**0.5)
    area = (u + 0.5 - row.lesion.column) ** 2 + (v + 0.5 - row.lesion.row) ** 2 <= radius**2
    if not area.any():
        raise ImageUnreadableError(
            f"{_at(row)}: the lesion is outside of the image of {rows} rows x {columns} columns"
        )
    return np.asarray(area, dtype=bool)


def _masked(row: ImageRow, path: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    content = _content(path, row)
    try:
        pixels = decode(_dicom(content)) if _is_dicom(content) else read_raster(content)
    except (PixelsUnreadableError, RasterError) as error:
        raise ImageUnreadableError(f"{_at(row)}: mask {path}: {error}") from error
    if pixels.shape != shape:
        raise ImageUnreadableError(
            f"{_at(row)}: mask {path} has {pixels.shape[0]} rows x {pixels.shape[1]} columns, "
            f"its image {shape[0]} x {shape[1]}: expected the same grid"
        )
    # JPEG rings around edges: what is faint there is not nonzero in the mask that was drawn
    area = pixels > (pixels.max() // 2 if is_jpeg(content) else 0)
    if not area.any():
        raise ImageUnreadableError(f"{_at(row)}: mask {path} marks no pixel, expected a lesion or no mask")
    return np.asarray(area, dtype=bool)


def _content(path: Path, row: ImageRow) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageUnreadableError(f"{_at(row)}: {path}: {error.strerror}") from error


def _at(row: ImageRow) -> str:
    return f"line {row.line}"


def _is_dicom(content: bytes) -> bool:
    return content[128:132] == b"DICM"


def _dicom(content: bytes) -> FileDataset:
    try:
        return dcmread(BytesIO(content))
    # pydicom tells a damaged file by any of a dozen exceptions
    except Exception as error:
        raise PixelsUnreadableError(f"data set cannot be parsed ({type(error).__name__})") from error


def _orientation(instance: Dataset) -> tuple[str, ...]:
    try:
        values = tuple(str(value).strip() for value in instance.get("PatientOrientation") or ())
    except Exception:  # noqa: BLE001 - a damaged optional attribute is an absent one
        return ()
    return values if len(values) == 2 and all(map(_DIRECTION.fullmatch, values)) else ()


def _as_instance(pixels: NDArray[Any]) -> Dataset:
    """A picture as DICOM would have it, so that one set of rules windows both."""
    instance = Dataset()
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.Rows, instance.Columns = pixels.shape
    instance.BitsAllocated = 8 * pixels.itemsize
    if pixels.itemsize == 1:
        instance.WindowCenter, instance.WindowWidth = 128, 256
    instance.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    return instance
