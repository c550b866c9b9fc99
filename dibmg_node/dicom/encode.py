"""Results as Part 10 bytes, the same bytes for the same data set."""

from __future__ import annotations

from pydicom.dataset import Dataset

from dibmg_node.dicom import facts


def encode(dataset: Dataset, transfer_syntax_uid: str = facts.EXPLICIT_LE) -> bytes:
    """A Part 10 file.

    Args:
        dataset: A result with native pixels, where it has any; left as it is.
        transfer_syntax_uid: EXPLICIT_LE, or RLE_LOSSLESS for a result with pixels.

    Source: PS3.10 chapter 7; PS3.5 Annex G.
    """
    raise NotImplementedError


def decompressed(part10: bytes) -> bytes:
    """The same instance in Explicit VR Little Endian, for a peer that takes nothing else.

    Source: PS3.5 A.2.
    """
    raise NotImplementedError
