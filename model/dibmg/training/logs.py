"""Events for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from dibmg.training.backend import TENSORFLOW
from dibmg.training.training import Step


class TensorBoardLog:
    """Writes the figures of every segment; does nothing where TensorFlow is not what trains."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None

    def write(self, step: Step) -> None:
        """Add one segment."""
        if keras.backend.backend() != TENSORFLOW:
            return
        import tensorflow as tf

        if self._writer is None:  # not before: opening it runs TensorFlow, which a training settles first
            self._writer = tf.summary.create_file_writer(str(self._folder))
        with self._writer.as_default(step=step.segment):
            tf.summary.scalar("loss", step.loss)
            if step.validation is not None:
                tf.summary.scalar("validation loss", step.validation.loss)
                tf.summary.scalar("validation AUC", step.validation.auc)
        self._writer.flush()
