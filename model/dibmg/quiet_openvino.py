"""OpenVINO, which would tell its makers of every import of it: here it cannot."""

import sys

# its own stand-in for a telemetry that is not installed takes over; a node opens no connection but its own
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402

__all__ = ["openvino"]
