"""Decoding and preprocessing: each transfer syntax, against pydicom's own choice; four views at once.

python -m benchmarks.decoding [--rounds 5] [--short] [--out FOLDER]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import FileDataset

from benchmarks.arguments import Chosen, command
from benchmarks.exams import LARGE, SYNTAXES, write_exam
from benchmarks.rounds import interleave, medians, ratio, timed
from dibmg.preprocess import preprocess
from dibmg_node.dicom.mammogram import read_mammogram
from dibmg_node.dicom.pixels import decode
from dibmg_node.domain.study import Laterality


def _pydicom(path: Path) -> object:
    # read anew: pydicom keeps what it has decoded
    return dcmread(path).pixel_array


def _node(path: Path, side: int = 0) -> object:
    return decode(dcmread(path), side)


def _does(work: Callable[[], object]) -> bool:
    """Whether pydicom decodes this syntax with what the node installs."""
    try:
        work()
    except RuntimeError:
        return False
    return True


def _four(images: Sequence[FileDataset], workers: int, side: int = 0) -> None:
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(partial(decode, least_side=side), images))


def measure(chosen: Chosen, folder: Path) -> dict[str, Any]:
    """Medians for one image by syntax, for one exam by workers, and of what follows the decoding."""
    grid = (832, 640) if chosen.short else LARGE
    size = 256 if chosen.short else 1600
    tables: dict[str, Any] = {}
    for syntax in SYNTAXES:
        paths = write_exam(folder / syntax, syntax, grid)
        images = [dcmread(path) for path in paths]
        turns = {
            "node": partial(timed, partial(_node, paths[0])),
            "exam, one by one": partial(timed, partial(_four, images, 1)),
            "exam, four at once": partial(timed, partial(_four, images, 4)),
        }
        if "2000" in syntax:
            half = max(grid) // 2
            turns["node, at half its size"] = partial(timed, partial(_node, paths[0], half))
            turns["exam, four at once, at half its size"] = partial(timed, partial(_four, images, 4, half))
        if _does(partial(_pydicom, paths[0])):
            turns["pydicom"] = partial(timed, partial(_pydicom, paths[0]))
        rows = interleave(turns, chosen.rounds)
        tables[syntax] = {name: medians(one) for name, one in rows.items()} | {
            "mb": round(paths[0].stat().st_size / 1e6, 1),
            "node_of_pydicom": ratio(rows["node"], rows["pydicom"], "cpu_s") if "pydicom" in rows else None,
        }
    mammogram = read_mammogram(images[0])
    prepared = interleave(
        {
            "preprocess": partial(timed, partial(preprocess, mammogram, Laterality.RIGHT, ("P", "L"), size)),
        },
        chosen.rounds,
    )
    return {
        "grid": grid,
        "rounds": chosen.rounds,
        "by_syntax": tables,
        "preprocess": {"input_size": size, **medians(prepared["preprocess"])},
    }


if __name__ == "__main__":
    command("decoding", __doc__, measure)
