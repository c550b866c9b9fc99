"""Sets of weights as they are written; TensorFlow is loaded once."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import pytest

from dibmg.architecture import Architecture, Context
from dibmg.export import export_weights
from dibmg.network import build_network
from dibmg.scores import ExamPooling
from dibmg.training.finish import PAPERS
from dibmg.weights import FILES, KERAS, MANIFEST, load_weights
from dibmg_node.errors import RejectedError, StorageFullError

PLACES = Architecture(initial_widths=(4, 4), block_widths=(4, 6, 6, 8), block_strides=(1, 1, 1, 1))
WHOLE = Architecture(initial_widths=(4, 4), block_widths=(4, 6, 8, 8), block_strides=(1, 2, 2, 1))


def network(seed: int, architecture: Architecture = PLACES) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return build_network(architecture, None)


def write_set(
    folder: Path, seed: int = 1, joined: bool = False, made: Sequence[keras.Model] = (), **words: str
) -> Mapping[str, bytes]:
    """A set of one network (of `made`, where given), or of two and one of whole views; its files."""
    texts = dict.fromkeys(("name", "version", "trained_on", "license", "attribution", "how"), "test")
    export_weights(
        made or ([network(seed), network(seed + 1)] if joined else [network(seed)]),
        folder,
        preset="fine",
        architecture=PLACES,
        input_size=64,
        exam_pooling=ExamPooling.MAXIMUM,
        operating_points=[PAPERS.as_json()],
        model_card="",
        words=texts | words,
        contexts=[network(9, WHOLE)] if joined else [],
        context=Context("coarse", WHOLE, 1, 0.5, 0.5, 0.1) if joined else None,
    )
    return {name: (folder / name).read_bytes() for name in (MANIFEST, *FILES)}


@pytest.mark.parametrize("joined", [False, True])
def test_the_same_values_give_the_same_bytes(tmp_path: Path, joined: bool) -> None:
    one = write_set(tmp_path / "one", joined=joined)
    network(3)  # networks that a process has made before are no part of it

    other = write_set(tmp_path / "other", joined=joined)

    assert one == other


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    program = (
        "import sys, pathlib; from tests.model.test_export_weights import write_set; "
        "write_set(pathlib.Path(sys.argv[1]), joined=True)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "one")],
        cwd=root,
        env={"PYTHONPATH": f"{root}/model:{root}", "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]

    other = write_set(tmp_path / "other", joined=True)

    assert {name: (tmp_path / "one" / name).read_bytes() for name in other} == other


def test_what_is_written_reads_back_with_its_values(tmp_path: Path) -> None:
    write_set(tmp_path / "set")

    found = keras.models.load_model(tmp_path / "set" / KERAS, compile=False)

    for one, other in zip(found.get_weights(), network(1).get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_words_leave_the_weights_of_record_as_they_are(tmp_path: Path) -> None:
    write_set(tmp_path / "set")
    before = load_weights(tmp_path / "set").sha256

    write_set(tmp_path / "set", name="renamed")

    assert (load_weights(tmp_path / "set").name, load_weights(tmp_path / "set").sha256) == ("renamed", before)


def test_a_set_that_is_written_again_stays(tmp_path: Path) -> None:
    write_set(tmp_path / "set")
    before = (tmp_path / "set" / KERAS).stat()

    write_set(tmp_path / "set")

    after = (tmp_path / "set" / KERAS).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_and_leave_the_set_that_is_there(
    tmp_path: Path, value: float
) -> None:
    before = write_set(tmp_path / "set")
    diverged = network(1)
    diverged.get_layer("aggregate").bias.assign([0.0, value])

    with pytest.raises(RejectedError, match="not finite"):
        write_set(tmp_path / "set", made=[diverged])

    assert {name: (tmp_path / "set" / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("share", [0.5, 0.999])
def test_a_full_disk_leaves_the_set_that_is_there(tmp_path: Path, share: float) -> None:
    before = write_set(tmp_path / "set")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * len(before[KERAS])), hard))
    try:
        with pytest.raises(StorageFullError, match="no room for the weights"):
            write_set(tmp_path / "set", seed=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert load_weights(tmp_path / "set").name == "test"
    assert {name: (tmp_path / "set" / name).read_bytes() for name in before} == before
    assert list(tmp_path.iterdir()) == [tmp_path / "set"]
