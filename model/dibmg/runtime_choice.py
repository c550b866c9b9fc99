"""What may be asked of a runtime."""

from __future__ import annotations

from enum import StrEnum


class RuntimeKind(StrEnum):
    """What may be asked for."""

    AUTO = "auto"
    OPENVINO = "openvino"
    TENSORFLOW = "tensorflow"


class Precision(StrEnum):
    """Arithmetic of the convolutions; the mean over the map is float32 or better in both.

    F32 is float32 of 24 bits on every device, and TF32 on none.
    """

    F32 = "f32"
    BF16 = "bf16"
