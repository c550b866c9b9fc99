"""What the node should find: the same weights read the same pixels here, without node, queue and network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from dibmg.operating_choice import choose_operating_point
from dibmg.weights import load_weights
from dibmg_node.config import Settings
from dibmg_node.dicom.header import instance_of, read_header
from dibmg_node.domain.study import Study
from dibmg_node.errors import DibmgError, SelfTestBrokenError
from dibmg_node.selftest.specimen import SPECIMEN_VERSION, Specimen
from dibmg_node.services.images import Images, StudyFiles
from dibmg_node.services.reading import read_study
from dibmg_node.services.reading_json import reading_json
from dibmg_node.storage.ownership import hand_over
from dibmg_node.wiring.analyzing import build_predictor

_FILE: Final = "expectation.json"


def expected_reading(settings: Settings, specimen: Specimen) -> tuple[Mapping[str, Any], bool]:
    """The direct analysis of the exam, in the form of `result.json`.

    It is made once for each set of weights, operating point, runtime and precision, and kept below the data
    folder: a node that reads the same exam otherwise next month has changed.

    Returns:
        The reading, and whether it was made just now.

    Raises:
        SelfTestBrokenError: The weights cannot be used here, or read nothing of this exam.
    """
    path = settings.data_dir / "selftest" / _FILE
    key = _key(settings)
    kept = _kept(path, key)
    if kept is not None:
        return kept, False
    reading = _read(settings, specimen)
    path.write_text(json.dumps({"key": key, "reading": reading}) + "\n", encoding="utf-8")
    hand_over(path)
    return reading, True


def _key(settings: Settings) -> list[str]:
    """What a reading of the exam depends on."""
    remedy = "run 'dibmg weights verify' on model.weights"
    try:
        weights = load_weights(settings.weights)
        point = choose_operating_point(weights, settings.operating_point).overall
    except DibmgError as error:
        raise SelfTestBrokenError(f"the weights cannot be used: {error}", remedy) from error
    model = settings.model
    return [
        SPECIMEN_VERSION,
        weights.sha256,
        weights.preprocessing_version,
        f"{point.name} {point.version} {point.threshold}",
        model.runtime.value,
        model.precision.value,
        settings.exam.model_dump_json(),
    ]


def _kept(path: Path, key: list[str]) -> Mapping[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        reading: Mapping[str, Any] | None = content["reading"] if content["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return reading


def _read(settings: Settings, specimen: Specimen) -> Mapping[str, Any]:
    folder = settings.data_dir / "selftest"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    hand_over(folder)
    with TemporaryDirectory(dir=folder) as name:
        paths = {}
        for number, image in enumerate(specimen.images.values()):
            paths[image.sop_uid] = Path(name) / f"{number}.dcm"
            paths[image.sop_uid].write_bytes(image.content)
        instances = []
        for path in paths.values():
            with path.open("rb") as file:
                instances.append(instance_of(read_header(file)))
        study = Study(specimen.study_uid, 1, tuple(instances))
        try:
            images = Images(build_predictor(settings))
            reading = reading_json(read_study(StudyFiles(study, paths), settings.exam_policy, images))
        except DibmgError as error:
            remedy = "run 'dibmg weights verify', and 'dibmg doctor' for the runtime"
            raise SelfTestBrokenError(f"the model cannot read the exam here: {error}", remedy) from error
    if reading["scores"]["exam"] is None:
        told = "; ".join(str(one["sentence"]) for one in reading["exclusions"])
        remedy = "choose weights that read the four standard views in model.weights"
        raise SelfTestBrokenError(f"these weights read nothing of the exam: {told}", remedy)
    return reading
