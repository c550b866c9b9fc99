"""Write a folder of weights that the node can serve."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from dibmg.architecture import AIR, Architecture, Context
from dibmg.contrast_range import ContrastRange
from dibmg.network import build_network, join_networks
from dibmg.preprocessing_version import PREPROCESSING_VERSION
from dibmg.quiet_openvino import openvino
from dibmg.room import needs_room
from dibmg.scores import ExamPooling
from dibmg.weights import FILES, KERAS, MANIFEST, MODEL_CARD, OPENVINO
from dibmg.whole_folder import whole_folder
from dibmg_node.errors import RejectedError, StorageFullError

_SHARED: Final = "shared_object_id"


def export_weights(
    networks: Sequence[keras.Model],
    folder: Path,
    *,
    preset: str,
    architecture: Architecture,
    input_size: int,
    exam_pooling: ExamPooling,
    operating_points: Sequence[Mapping[str, Any]],
    model_card: str,
    words: Mapping[str, str],
    trained: bool = True,
    contexts: Sequence[keras.Model] = (),
    context: Context | None = None,
    contrast: ContrastRange | None = None,
) -> None:
    """Write the weights of record, their OpenVINO form, the manifest and the model card.

    The same values and words give the same bytes on the same versions of Keras and OpenVINO.

    Args:
        networks: Trained, of one architecture; their values are copied to networks of the fixed input size.
            The maps of several are averaged.
        folder: Replaced as a whole where it exists; stays where it holds the same set already.
        preset: Name of the architecture.
        architecture: That of the network.
        input_size: Side of the square input, pixels.
        exam_pooling: How an exam's score follows from its views.
        operating_points: Entries of the manifest; `default` is one.
        model_card: Markdown.
        words: `name`, `version`, `trained_on`, `license`, `attribution`, `how`.
        trained: False is written for what must not be served.
        contexts: Trained, of the architecture that `context` says.
        context: What is done with them; None without any.
        contrast: Of the views of training; None: views are not compared with them.

    Raises:
        ValueError: Other than as many networks of whole views as the context says.
        RejectedError: A network has values that are not finite.
        StorageFullError: No room; what was there before is there still.
    """
    if len(contexts) != (0 if context is None else context.members):
        raise ValueError(f"found {len(contexts)} networks of whole views, the context says {context}")
    if not all(np.isfinite(values).all() for one in (*networks, *contexts) for values in one.get_weights()):
        raise RejectedError(
            f"{folder}: the network has values that are not finite: its training diverged; start again in "
            "another folder with a lower learning_rate, or with clip_norm"
        )
    members = _fixed(networks, architecture, input_size)
    whole = [] if context is None else _fixed(contexts, context.architecture, input_size)
    fixed = join_networks(members, architecture, input_size, whole, context)
    with needs_room(f"the weights {folder}"), whole_folder(folder, (MANIFEST, *FILES)) as made:
        _save_keras(fixed, made / KERAS)
        _save_openvino(fixed, input_size, made / OPENVINO)
        (made / MODEL_CARD).write_text(model_card, encoding="utf-8")
        manifest = {
            **words,
            "files": {name: sha256((made / name).read_bytes()).hexdigest() for name in FILES},
            "preset": preset,
            "architecture": architecture.as_json(),
            "members": len(members),
            **({} if context is None else {"context": context.as_json()}),
            **({} if contrast is None else {"local_contrast": contrast.as_json()}),
            "input_size": input_size,
            "map_stride": architecture.stride,
            "preprocessing_version": PREPROCESSING_VERSION,
            "padding": AIR,
            "exam_pooling": exam_pooling.value,
            "operating_points": list(operating_points),
            "trained": trained,
        }
        (made / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _fixed(networks: Sequence[keras.Model], architecture: Architecture, input_size: int) -> list[keras.Model]:
    """The same networks, for inputs of one size."""
    found = []
    for network in networks:
        found.append(build_network(architecture, input_size, weight_decay=0.0))
        found[-1].set_weights(network.get_weights())
    return found


def _save_keras(network: keras.Model, path: Path) -> None:
    """Write the weights of record: the same bytes for the same values, since their SHA-256 names them.

    Keras itself writes times into it, and takes addresses in memory for numbers of shared objects.
    """
    network.save(path, include_optimizer=False)
    with zipfile.ZipFile(path) as saved:
        contents = {name: saved.read(name) for name in saved.namelist()}
    metadata = json.loads(contents["metadata.json"])
    del metadata["date_saved"]
    contents["metadata.json"] = json.dumps(metadata).encode()
    numbers: dict[int, int] = {}

    def numbered(values: dict[str, Any]) -> dict[str, Any]:
        if _SHARED in values:
            values[_SHARED] = numbers.setdefault(values[_SHARED], len(numbers))
        return values

    contents["config.json"] = json.dumps(json.loads(contents["config.json"], object_hook=numbered)).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in contents.items():
            file.writestr(zipfile.ZipInfo(name), content)


def _save_openvino(network: keras.Model, input_size: int, path: Path) -> None:
    """Write the network from one view to its raw map as OpenVINO IR, values in float32.

    Not by `network.export(format="openvino")`: that gives both outputs, and needs scipy.
    """

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec((1, input_size, input_size, 1), tf.float32, name="view")]
    )
    def raw_map(view: tf.Tensor) -> tf.Tensor:
        return network(view, training=False)["map"]

    model = openvino.convert_model(raw_map.get_concrete_function())
    for number, node in enumerate(model.get_ordered_ops()):
        # its own names count every node that the process has made
        node.set_friendly_name(f"{node.get_type_name()}_{number}")
    try:
        openvino.save_model(model, path, compress_to_fp16=False)
    except RuntimeError as error:  # of its stream, which does not tell why
        raise StorageFullError(f"{path} cannot be written: is the disk full?") from error
