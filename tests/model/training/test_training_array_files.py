from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dibmg.training.array_files import whole_arrays
from dibmg_node.errors import StorageFullError


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may have more than 4096 bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_arrays_are_there_with_what_was_put_in_and_nothing_beside_them(tmp_path: Path) -> None:
    paths = [tmp_path / "new" / f"{name}.npy" for name in ("lesions", "views")]

    with whole_arrays(paths, (2, 3, 3)) as arrays:
        for value, array in enumerate(arrays):
            array[...] = value

    assert sorted((tmp_path / "new").iterdir()) == paths
    assert [np.load(path).tolist() for path in paths] == [np.full((2, 3, 3), n).tolist() for n in (0, 1)]


def test_the_disk_has_every_byte_before_the_first_is_put_in(tmp_path: Path) -> None:
    with whole_arrays([tmp_path / "views.npy"], (16, 256, 256)):
        (partial,) = tmp_path.iterdir()

        assert partial.stat().st_blocks * 512 >= 16 * 256 * 256


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_is_told_with_what_was_wanted_and_nothing_is_left(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.npy" for name in ("lesions", "views")]

    with (
        pytest.raises(StorageFullError, match=r"no room for 131072 bytes of prepared images in "),
        whole_arrays(paths, (1, 256, 256)),
    ):
        pass

    assert list(tmp_path.iterdir()) == []


def test_arrays_that_were_not_filled_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), whole_arrays([tmp_path / "views.npy"], (1, 8, 8)):
        raise KeyError

    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_fills_stays(tmp_path: Path) -> None:
    (tmp_path / "views-0.4711.partial.npy").write_bytes(b"half")
    fill = (
        "import sys, pathlib; from dibmg.training.array_files import whole_arrays\n"
        "with whole_arrays([pathlib.Path(sys.argv[1])], (1, 8, 8)): print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", fill, str(tmp_path / "views-0.npy")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as living:
        assert living.stdout is not None
        living.stdout.readline()
        partial = tmp_path / f"views-0.{living.pid}.partial.npy"

        with whole_arrays([tmp_path / "views-1.npy"], (1, 8, 8)):
            pass

        assert sorted(tmp_path.iterdir()) == [partial, tmp_path / "views-1.npy"]
        living.communicate(timeout=60)

    assert sorted(tmp_path.iterdir()) == [tmp_path / "views-0.npy", tmp_path / "views-1.npy"]
