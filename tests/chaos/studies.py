"""What is sent: studies of every kind, made from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from hashlib import sha256
from random import Random

import numpy as np
from numpy.typing import NDArray

from dibmg_node.dicom import facts
from dibmg_node.domain.study import STANDARD_VIEWS, ViewKey
from tests.factories import breast_pixels, data_set_bytes, mammogram

REFUSED_PATIENT = "REFUSED"
"""The recording PACS refuses the reports of patients whose ID begins so."""

_ROWS, _COLUMNS = 512, 384
_SYNTAXES = (facts.EXPLICIT_LE, facts.EXPLICIT_LE, facts.JPEG_LS_LOSSLESS)


class Kind(StrEnum):
    """What is special about a study."""

    PLAIN = "four views, some of them again"
    LATE = "a newer image after the results"
    AGAIN = "the same images again after the results"
    IMPLANT = "implants"
    CORRUPT = "pixels that cannot be decoded"
    REFUSED = "its report is refused"


FINAL_STATE = {
    Kind.PLAIN: "DELIVERED",
    Kind.LATE: "DELIVERED",
    Kind.AGAIN: "DELIVERED",
    Kind.IMPLANT: "EXCLUDED",
    Kind.CORRUPT: "EXCLUDED",
    Kind.REFUSED: "FAILED",
}
_WEIGHTS = {
    Kind.PLAIN: 6,
    Kind.LATE: 4,
    Kind.AGAIN: 2,
    Kind.IMPLANT: 4,
    Kind.CORRUPT: 2,
    Kind.REFUSED: 1,
}


@dataclass(frozen=True)
class SentInstance:
    """One instance as it goes over the wire.

    Attributes:
        content: The data set, encoded.
    """

    study_uid: str
    sop_class_uid: str
    sop_uid: str
    transfer_syntax_uid: str
    content: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """Of the data set."""
        return sha256(self.content).hexdigest()


@dataclass(frozen=True)
class SentStudy:
    """One study.

    Attributes:
        first: What makes it complete.
        later: What is sent once it is final.
    """

    study_uid: str
    kind: Kind
    first: tuple[SentInstance, ...]
    later: tuple[SentInstance, ...] = ()


def studies(seed: int) -> Iterator[SentStudy]:
    """Studies without end; the same for the same seed."""
    random = Random(f"studies {seed}")
    kinds, weights = zip(*_WEIGHTS.items(), strict=True)
    number = 0
    while True:
        number += 1
        (kind,) = random.choices(kinds, weights)
        yield _study(f"1.2.826.0.1.3680043.10.9.{seed}.{number}", kind, random)


def _study(study_uid: str, kind: Kind, random: Random) -> SentStudy:
    patient = f"{REFUSED_PATIENT if kind is Kind.REFUSED else 'P'}{study_uid.rsplit('.', 1)[1]}"
    syntax = facts.JPEG_LS_LOSSLESS if kind is Kind.CORRUPT else random.choice(_SYNTAXES)
    retakes = 0 if kind is Kind.CORRUPT else random.randint(0, 8)
    images = [(view, 0) for view in STANDARD_VIEWS]
    images += [(random.choice(STANDARD_VIEWS), 1 + n) for n in range(retakes)]

    def sent(view: ViewKey, number: int) -> SentInstance:
        changes = {"BreastImplantPresent": "YES"} if kind is Kind.IMPLANT else {}
        dataset = mammogram(
            view,
            study_uid=study_uid,
            number=number,
            transfer_syntax_uid=syntax,
            pixels=_pixels(view),
            PatientID=patient,
            **changes,
        )
        if kind is Kind.CORRUPT:
            # the frame's item keeps its length; what is in it is no codestream any more
            frame = bytearray(dataset.PixelData)
            frame[20:-8] = random.randbytes(len(frame) - 28)
            dataset["PixelData"].value = bytes(frame)
        return SentInstance(
            study_uid,
            str(dataset.SOPClassUID),
            str(dataset.SOPInstanceUID),
            syntax,
            data_set_bytes(dataset),
        )

    first = tuple(sent(view, number) for view, number in images)
    later: tuple[SentInstance, ...] = ()
    if kind is Kind.LATE:
        later = (sent(random.choice(STANDARD_VIEWS), 20),)
    elif kind is Kind.AGAIN:
        later = first
    return SentStudy(study_uid, kind, first, later)


@cache
def _pixels(view: ViewKey) -> NDArray[np.uint16]:
    return breast_pixels(view, _ROWS, _COLUMNS)
