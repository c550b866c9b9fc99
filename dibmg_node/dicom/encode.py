"""Results as Part 10 bytes, the same bytes for the same data set."""

from __future__ import annotations

from io import BytesIO
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread, dcmwrite
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID

from dibmg_node.dicom import facts

_RLE_HEADER: Final = 64
"""Bytes: sixteen numbers of four."""


def encode(dataset: Dataset, transfer_syntax_uid: str = facts.EXPLICIT_LE) -> bytes:
    """A Part 10 file.

    Args:
        dataset: A result with native pixels, where it has any; left as it is.
        transfer_syntax_uid: EXPLICIT_LE, or RLE_LOSSLESS for a result with 8-bit pixels.

    Raises:
        ValueError: Another transfer syntax is asked for.

    Source: PS3.10 chapter 7; PS3.5 A.2, Annex G.
    """
    if transfer_syntax_uid not in (facts.EXPLICIT_LE, facts.RLE_LOSSLESS):
        raise ValueError(
            f"results are written in Explicit VR Little Endian or RLE, not {transfer_syntax_uid}"
        )
    written = Dataset()
    written.update(dataset)
    written.file_meta = _file_meta(dataset, transfer_syntax_uid)
    if transfer_syntax_uid == facts.RLE_LOSSLESS:
        encapsulated = encapsulate([rle_frame(_samples(dataset, dataset.PixelData))])
        written["PixelData"] = DataElement("PixelData", "OB", encapsulated, is_undefined_length=True)
    return _part10(written)


def decompressed(part10: bytes) -> bytes:
    """A result in Explicit VR Little Endian, for a peer that takes nothing else.

    Args:
        part10: What `encode` gave, in any of its transfer syntaxes.

    Returns:
        What `encode` gives without compression, byte for byte.

    Source: PS3.5 A.2.
    """
    dataset = dcmread(BytesIO(part10))
    return _part10(_native(dataset)) if _is_compressed(dataset) else part10


def read_native(part10: bytes) -> FileDataset:
    """The data set of `decompressed`, without writing it first."""
    dataset = dcmread(BytesIO(part10))
    return _native(dataset) if _is_compressed(dataset) else dataset


def _is_compressed(dataset: FileDataset) -> bool:
    return bool(dataset.file_meta.TransferSyntaxUID == facts.RLE_LOSSLESS)


def _native(dataset: FileDataset) -> FileDataset:
    """Decode the pixels in place."""
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    shape = (dataset.SamplesPerPixel, dataset.Rows, dataset.Columns)
    planes = np.frombuffer(imagecodecs.dicomrle_decode(frame, np.dtype(np.uint8)), np.uint8).reshape(shape)
    pixels = np.empty((dataset.Rows, dataset.Columns, dataset.SamplesPerPixel), np.uint8)
    for sample, plane in enumerate(planes):  # a transposed copy takes three times as long
        pixels[..., sample] = plane
    raw = pixels.tobytes()
    dataset["PixelData"] = DataElement("PixelData", "OB", raw if len(raw) % 2 == 0 else raw + b"\0")
    dataset.file_meta.TransferSyntaxUID = UID(facts.EXPLICIT_LE)
    return dataset


def rle_frame(samples: NDArray[np.uint8]) -> bytes:
    """One frame in RLE Lossless: a PackBits segment for each sample, no run across two rows.

    Args:
        samples: (rows, columns, samples).

    Source: PS3.5 Annex G.
    """
    segments = []
    for sample in range(samples.shape[2]):
        segment = bytes(imagecodecs.packbits_encode(np.ascontiguousarray(samples[..., sample])))
        segments.append(segment + b"\0" * (len(segment) % 2))
    offsets = [_RLE_HEADER + sum(map(len, segments[:number])) for number in range(len(segments))]
    header = [len(segments), *offsets, *[0] * (_RLE_HEADER // 4 - 1 - len(segments))]
    return np.array(header, dtype="<u4").tobytes() + b"".join(segments)


def _samples(dataset: Dataset, raw: bytes) -> NDArray[np.uint8]:
    shape = (dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)
    return np.frombuffer(raw, np.uint8, count=int(np.prod(shape))).reshape(shape)


def _file_meta(dataset: Dataset, transfer_syntax_uid: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = UID(facts.IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = facts.IMPLEMENTATION_VERSION_NAME
    return meta


def _part10(dataset: Dataset) -> bytes:
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return file.getvalue()
