"""One exam: from the response to its fourth C-STORE until the PACS has stored its last result, split by step.

python -m benchmarks.one_exam [--rounds 5] [--short] [--precision f32] [--out FOLDER]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from benchmarks.arguments import SHORT_SIZE, Chosen, command
from benchmarks.exams import LARGE, SYNTAXES, SYNTAXES_APART, templates, write_exam
from benchmarks.family import family_cpu_seconds, peak_mb, resident_mb
from benchmarks.rounds import Figures, interleave, medians, ratio, timed
from benchmarks.sending import Flow, Template
from benchmarks.site import RESULTS_OF_AN_EXAM, Site, running_site
from benchmarks.weights import paper_weights
from benchmarks.worker_start import start_seconds
from dibmg.preprocess import least_side, preprocess
from dibmg.runtime import Runtime, open_runtime
from dibmg.runtime_choice import RuntimeKind
from dibmg.weights import load_weights
from dibmg_node.dicom.mammogram import read_mammogram
from dibmg_node.dicom.rendering import output_shape
from dibmg_node.dicom.resizing import resize
from dibmg_node.domain.study import Laterality

_PAUSE_SECONDS: Final = 2.0


def one_exam(site: Site, exam: list[Template], pause: float = 0.0) -> Figures:
    """Send one exam, at once or with pauses between its views, and wait for its results."""
    flow = Flow([next(site.numbers)], pause)
    there, before = len(site.files()), family_cpu_seconds(site.pid)
    site.send(exam, [flow])
    site.wait_for_files(there + RESULTS_OF_AN_EXAM)
    study = site.delivered(flow.studies[0])
    used = family_cpu_seconds(site.pid) - before
    files = site.files()
    stored_at = max(files[result["sop_uid"]].stat().st_mtime for result in study["results"])
    steps = {f"{step}_s": float(value) for step, value in study["reading"]["seconds"].items()}
    return {"wall_s": stored_at - flow.ended_at, "cpu_s": used, **steps}


def needed(paths: Sequence[Path], runtime: Runtime, size: int) -> None:
    """What no node can do without: decode, resize, run the network; one process, views at once.

    Resized is for the network and, on another grid, for the overlay.
    """

    def view(path: Path) -> NDArray[np.float32]:
        image = dcmread(path)
        mammogram = read_mammogram(image, least_side(size))
        laterality = Laterality(image.ImageLaterality)
        resize(mammogram.pixels, output_shape(*mammogram.shape))
        return preprocess(mammogram, laterality, tuple(image.PatientOrientation), size).pixels

    with ThreadPoolExecutor(len(paths)) as pool:
        runtime.maps(list(pool.map(view, paths)))


def measure(chosen: Chosen, folder: Path) -> dict[str, Any]:
    """Medians by syntax, and the first exam after the start."""
    with running_site(folder, chosen, SHORT_SIZE if chosen.short else 1600) as site:
        return measure_at(site, chosen, folder)


def measure_at(site: Site, chosen: Chosen, folder: Path) -> dict[str, Any]:
    """The same, at a site that runs."""
    size, grid = (SHORT_SIZE, (832, 640)) if chosen.short else (1600, LARGE)
    weights = load_weights(paper_weights(size, chosen.weights))
    runtime = open_runtime(weights, RuntimeKind.OPENVINO, chosen.precision)
    turns: dict[str, Callable[[], Figures]] = {}
    for syntax in SYNTAXES:
        paths = write_exam(folder / "exams" / syntax, syntax, grid)
        turns[syntax] = partial(one_exam, site, templates(paths))
        if syntax in SYNTAXES_APART:
            turns[f"apart {syntax}"] = partial(one_exam, site, templates(paths), _PAUSE_SECONDS)
        turns[f"needed {syntax}"] = partial(timed, partial(needed, paths, runtime, size))
    cold = turns["uncompressed"]()
    config = site.node.config
    turns["worker"] = lambda: {"start_s": start_seconds(config)}
    rows = interleave(turns, chosen.rounds)
    parts = site.processes().items()
    resident = {part: resident_mb(pid) for pid, part in parts}
    peak = {part: peak_mb(pid) for pid, part in parts}
    return {
        "grid": grid,
        "input_size": size,
        "precision": runtime.precision.value,
        "rounds": chosen.rounds,
        "cold": cold,
        "warm": {
            syntax: {
                **medians(rows[syntax]),
                "needed": medians(rows[f"needed {syntax}"]),
                "times_needed": ratio(rows[syntax], rows[f"needed {syntax}"], "wall_s"),
                "other_of_cpu": round(1 - ratio(rows[f"needed {syntax}"], rows[syntax], "cpu_s"), 3),
            }
            for syntax in SYNTAXES
        },
        "apart_s": _PAUSE_SECONDS,
        "apart": {syntax: medians(rows[f"apart {syntax}"]) for syntax in SYNTAXES_APART},
        "worker_start_s": medians(rows["worker"])["start_s"],
        "worker_mb": round(resident["analysis"] + resident["model"]),
        "worker_peak_mb": round(peak["analysis"] + peak["model"]),
        "resident_mb": {part: round(mb) for part, mb in resident.items()},
    }


if __name__ == "__main__":
    command("one-exam", __doc__, measure)
