"""What an evaluation writes: report, page, scores, model card and operating points."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dibmg.data.manifest import Label, read_manifest, write_manifest
from dibmg.evaluation.cases import choose_cases
from dibmg.evaluation.evaluate import evaluate
from dibmg.evaluation.outputs import write_outputs
from dibmg.evaluation.rates import RateInterval, rate
from dibmg.evaluation.reading import NoUsableImageError
from dibmg.evaluation.request import Request
from dibmg.evaluation.units import UnitKind
from dibmg.operating_points import load_operating_points
from dibmg.weights import load_weights
from dibmg_node.domain.study import View
from dibmg_node.errors import WeightsError
from tests.model.evaluation.factories_evaluation import units_of, write_seeing_weights, write_set

WORDS = ("NaN", "Infinity")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_seeing_weights(tmp_path_factory.mktemp("weights") / "seeing")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 cancers and 60 normals of two machines, half of them old, and a row that names no file."""
    path = write_set(tmp_path_factory.mktemp("set"), 24, 60)
    rows = [
        replace(row, age=40 + row.line % 20, manufacturer="A" if row.line % 5 else "B")
        for row in read_manifest(path).rows
    ]
    gone = replace(rows[-1], exam="gone", patient="gone", path=path.parent / "gone.png")
    write_manifest([*rows, gone], path)
    return path


@pytest.fixture(scope="module")
def folder(weights: Path, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the whole evaluation wrote."""
    out = tmp_path_factory.mktemp("out")
    run(manifest, weights, out, compare=str(weights), against=manifest, resample=True)
    return out


def run(manifest: Path, weights: Path, out: Path, **changes: Any) -> dict[str, Any]:
    request = Request(manifest=manifest, weights=str(weights), **changes)
    return write_outputs(evaluate(request, lambda _, __: lambda: None), out)


def part(manifest: Path, out: Path, keep: Iterable[int], **changes: Any) -> Path:
    """A manifest of some of the rows, changed."""
    rows = read_manifest(manifest).rows
    write_manifest([replace(rows[place], **changes) for place in keep], out / "manifest.csv")
    return out / "manifest.csv"


def report_of(folder: Path) -> dict[str, Any]:
    text = (folder / "report.json").read_text()
    assert not any(word in text for word in WORDS)
    content: dict[str, Any] = json.loads(text)
    return content


def test_images_unlike_those_of_training_are_named_in_every_form_of_the_report(
    manifest: Path, tmp_path: Path
) -> None:
    lines = [row.line for row in read_manifest(manifest).rows[:6]]
    weights = write_seeing_weights(tmp_path / "seeing", local_contrast=[0.9, 1.0])
    some = part(manifest, tmp_path, [0, 1, 2, -4, -3, -2])

    report = run(some, weights, tmp_path / "out")
    card, page = ((tmp_path / "out" / name).read_text() for name in ("MODEL_CARD.md", "report.html"))

    assert report["unlike_training"] == {"local_contrast": [0.9, 1.0], "lines": lines}
    assert "Here 6 of 6 are." in card
    assert "6 of these images look unlike those" in page
    assert run(some, write_seeing_weights(tmp_path / "others"), tmp_path / "none")["unlike_training"] is None


def test_the_report_has_the_fields_of_its_contract(folder: Path) -> None:
    report = report_of(folder)

    assert (report["n"], report["positives"]) == (84, 24)
    assert set(report["auc"]) >= {"value", "low", "high"}
    for point in report["operating_points"]:
        assert set(point) >= {"name", "threshold", "sensitivity", "specificity"}
        assert set(point["sensitivity"]) >= {"value", "low", "high"}
    assert set(report["localization"]) >= {"hits", "lesions", "rate", "chance"}
    assert (report["localization"]["hits"], report["localization"]["lesions"]) == (24, 24)
    assert set(report["subgroups"]) == {"age", "manufacturer"}


def test_points_are_the_one_asked_for_the_papers_and_the_chosen_one(folder: Path) -> None:
    names = [point["name"] for point in report_of(folder)["operating_points"]]

    assert names == ["default", "0.5", "specificity-0.90"]


def test_what_could_not_be_read_is_told_with_its_line(folder: Path) -> None:
    exclusions = report_of(folder)["exclusions"]

    assert [one["line"] for one in exclusions] == [86]
    assert "gone.png" in exclusions[0]["reason"]


def test_a_model_beside_itself_and_a_set_beside_itself_do_not_differ(folder: Path) -> None:
    comparison = report_of(folder)["comparison"]

    assert comparison["models"]["auc_difference"]["value"] == 0.0
    assert comparison["sets"]["auc_difference"]["value"] == 0.0
    assert comparison["sets"]["notes"] == [
        "84 patients are in both sets: the tests take them for different ones"
    ]


def test_exact_intervals_are_those_of_comparisons_and_chosen_points_too(
    weights: Path, manifest: Path, tmp_path: Path
) -> None:
    few = part(manifest, tmp_path, range(20, 40))
    exact = RateInterval.EXACT

    report = run(few, weights, tmp_path / "out", compare=str(weights), against=few, interval=exact)

    rates = {point["name"]: point["sensitivity"] for point in report["operating_points"]}
    for compared in report["comparison"].values():
        for side in (compared["first"], compared["second"]):
            assert side["operating_points"]["default"]["sensitivity"] == rates["default"]
    chosen = report["chosen"]["points"][0]["specificity"]
    assert chosen == rate(chosen["count"], chosen["of"], "", exact).as_json()


def test_what_is_odd_about_a_figure_stands_beside_it_in_every_form_of_the_report(
    weights: Path, manifest: Path, tmp_path: Path
) -> None:
    few = part(manifest, tmp_path, [0, 1, 3, 4, 5, 6, 30, 31, 32, 35, 36, 37], age=None)
    rows = [replace(row, manufacturer="ABC"[row.line % 3]) for row in read_manifest(few).rows]
    write_manifest(rows, few)

    report = run(few, weights, tmp_path / "out")

    page, card = ((tmp_path / "out" / name).read_text() for name in ("report.html", "MODEL_CARD.md"))
    perfect = "the interval has no width since the order is perfect"
    approximate = "(chi-square; an expected count is below 5: approximate)"
    assert [report["auc"]["reason"], *_areas(report)] == [perfect] * 4
    assert f"1.000-1.000 (DeLong); {perfect}" in page
    assert f">1.000 (1.000-1.000); {perfect}</td>" in page.partition("as the paper's table 3")[2]
    assert card.count(f"1.000 (1.000-1.000); {perfect} |") == 6
    assert approximate in page
    assert approximate in card


def _areas(report: dict[str, Any]) -> list[str]:
    return [row["auc"]["reason"] for row in report["subgroups"]["manufacturer"]["rows"]]


def test_baselines_and_the_resampled_area_stand_beside_the_area(folder: Path) -> None:
    report = report_of(folder)

    assert set(report["baselines"]) == {"size", "brightness", "images"}
    assert all(one["auc"]["value"] >= 0.5 for one in report["baselines"].values())
    assert report["resampled"]["auc"]["value"] is not None


def test_the_file_of_operating_points_is_one_that_a_node_loads(folder: Path, weights: Path) -> None:
    points = load_operating_points(folder / "operating-points.json", load_weights(weights))

    assert points.version == report_of(folder)["chosen"]["file_version"]
    assert points.calibration is not None
    assert (points.points[0].normals, points.points[0].cancers) == (60, 24)


def test_the_file_of_operating_points_keeps_the_scores_without_cancer_and_their_recall(
    manifest: Path, weights: Path, tmp_path: Path
) -> None:
    run(manifest, weights, tmp_path, minimum_negatives=40)
    points = load_operating_points(tmp_path / "operating-points.json")

    overall, own = points.reference
    assert [str(one.device) for one in points.reference] == ["", "A"]
    assert (overall.exams, len(overall.scores)) == (60, 60)
    threshold = points.point_for(own.device).threshold
    above = sum(score >= threshold for score in own.scores)
    assert own.recall.value == pytest.approx(above / own.exams)


def test_an_evaluation_at_a_file_of_points_calls_what_its_thresholds_say(
    folder: Path, manifest: Path, weights: Path, tmp_path: Path
) -> None:
    path = folder / "operating-points.json"

    report = run(manifest, weights, tmp_path, operating_point=str(path))

    first, chosen = report["operating_points"][0], report["operating_points"][-1]
    assert first["name"].startswith("specificity-0.90 2")
    assert first["specificity"] == chosen["specificity"]


def test_points_of_other_weights_are_refused(folder: Path, manifest: Path, tmp_path: Path) -> None:
    other = write_seeing_weights(tmp_path / "other")
    (other / "weights.keras").write_bytes(b"other")
    fields = json.loads((other / "manifest.json").read_text())
    fields["files"]["weights.keras"] = sha256(b"other").hexdigest()
    (other / "manifest.json").write_text(json.dumps(fields))

    with pytest.raises(WeightsError, match="SHA-256 of the weights"):
        run(manifest, other, tmp_path, operating_point=str(folder / "operating-points.json"))


def test_scores_name_lines_and_neither_exams_nor_patients(folder: Path) -> None:
    text = (folder / "scores.csv").read_text()

    lines = list(csv.DictReader(text.splitlines()))
    assert [one["lines"] for one in lines] == [str(number) for number in range(2, 86)]
    assert "exam-" not in text
    assert "patient-" not in text


@pytest.mark.parametrize("name", ["report.html", "report.json", "MODEL_CARD.md"])
def test_no_patient_is_named(folder: Path, name: str) -> None:
    text = (folder / name).read_text()

    assert not re.search(r"patient-\d|exam-\d", text)


def test_the_page_says_first_what_it_is_not_for_and_asks_nobody_for_anything(folder: Path) -> None:
    page = (folder / "report.html").read_text()

    body = re.sub(r"<[^>]*>", "", page.partition("<body>")[2]).strip()
    assert body.startswith("For research use only. Not for diagnosis.")
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "<script" not in page
    assert "@import" not in page


def test_the_page_shows_plots_and_cases(folder: Path) -> None:
    page = (folder / "report.html").read_text()

    assert page.count("data:image/svg+xml;base64,") == 4
    assert page.count("data:image/jpeg;base64,") == 12
    assert "Cancers with the lowest scores" in page


def test_the_model_card_says_first_what_the_weights_are_not_for(folder: Path) -> None:
    card = (folder / "MODEL_CARD.md").read_text()

    area = report_of(folder)["auc"]
    assert card.startswith("**Not for diagnosis: research use only.**")
    assert f"{area['value']:.3f} ({area['low']:.3f}-{area['high']:.3f})" in card


def test_the_same_seed_gives_the_same_report(weights: Path, manifest: Path, tmp_path: Path) -> None:
    few = part(manifest, tmp_path, [0, 1, 2, 30, 31, 32])

    reports = [run(few, weights, tmp_path / name, seed=3, resample=True) for name in "ab"]

    for report in reports:
        del report["made"]
    assert reports[0] == reports[1]


def test_one_exam_alone_has_no_area_and_says_why(weights: Path, manifest: Path, tmp_path: Path) -> None:
    run(part(manifest, tmp_path, [0]), weights, tmp_path)

    report = report_of(tmp_path)
    assert (report["n"], report["auc"]["value"], report["auc"]["reason"]) == (1, None, "no negatives")
    assert report["operating_points"][0]["sensitivity"]["of"] == 1
    assert report["operating_points"][0]["specificity"]["reason"] == "no negatives"
    assert report["chosen"]["reason"] == "no threshold chosen: no negatives"
    assert not (tmp_path / "operating-points.json").exists()


def test_normals_alone_still_give_a_specificity(weights: Path, manifest: Path, tmp_path: Path) -> None:
    run(part(manifest, tmp_path, range(30, 36)), weights, tmp_path)

    report = report_of(tmp_path)
    assert report["auc"]["reason"] == "no positives"
    assert report["operating_points"][0]["specificity"]["of"] == 6
    assert report["localization"] == {
        "hits": 0,
        "lesions": 0,
        "rate": None,
        "low": None,
        "high": None,
        "chance": None,
        "reason": "no lesion whose place is known",
    }


def test_cancers_without_places_have_no_localization(weights: Path, manifest: Path, tmp_path: Path) -> None:
    run(part(manifest, tmp_path, [0, 1, 30, 31], mask=None), weights, tmp_path)

    report = report_of(tmp_path)
    assert report["auc"]["value"] is not None
    assert report["froc"]["reason"] == "no lesion whose place is known"


@pytest.mark.parametrize("unit", [UnitKind.BREAST, UnitKind.IMAGE])
def test_points_chosen_on_breasts_or_images_are_not_written_for_the_node(
    unit: UnitKind, weights: Path, manifest: Path, tmp_path: Path
) -> None:
    (tmp_path / "operating-points.json").write_text("of an earlier evaluation")

    run(part(manifest, tmp_path, [0, 1, 2, 30, 31, 32]), weights, tmp_path, unit=unit)

    report = report_of(tmp_path)
    assert report["unit"] == unit
    assert report["chosen"]["reason"] == f"thresholds for the node are chosen on exams, not on {unit}s"
    assert not (tmp_path / "operating-points.json").exists()


def test_every_form_of_the_report_says_that_rates_take_images_of_one_woman_for_independent(
    weights: Path, manifest: Path, tmp_path: Path
) -> None:
    rows = read_manifest(part(manifest, tmp_path, [0, 1, 30, 31])).rows
    one_woman = [replace(one, exam=rows[0].exam, patient=rows[0].patient) for one in rows[:2]]
    write_manifest([*one_woman, *rows[2:]], tmp_path / "several.csv")

    plain = run(tmp_path / "manifest.csv", weights, tmp_path / "plain", unit=UnitKind.IMAGE)
    several = run(tmp_path / "several.csv", weights, tmp_path / "out", unit=UnitKind.IMAGE)

    sentence = "Intervals of rates, and tests between rates, take the images of one patient for independent"
    assert "note" not in plain["methods"]
    assert several["methods"]["note"].startswith(sentence)
    for name in ("report.html", "MODEL_CARD.md"):
        assert sentence in (tmp_path / "out" / name).read_text()
        assert sentence not in (tmp_path / "plain" / name).read_text()


def test_points_that_a_node_loads_are_written_last(weights: Path, manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()

    with pytest.raises(IsADirectoryError):
        run(part(manifest, tmp_path, [0, 1, 2, 30, 31, 32]), weights, tmp_path)

    assert not (tmp_path / "operating-points.json").exists()


def test_one_view_alone_can_be_read(weights: Path, manifest: Path, tmp_path: Path) -> None:
    rows = list(read_manifest(manifest).rows[:4])
    rows[1] = replace(rows[1], view=View.MLO)
    write_manifest(rows, tmp_path / "manifest.csv")

    report = run(tmp_path / "manifest.csv", weights, tmp_path, view=View.CC)

    assert (report["n"], report["view"]) == (3, "CC")


def test_a_set_without_a_known_label_is_an_error(weights: Path, manifest: Path, tmp_path: Path) -> None:
    few = part(manifest, tmp_path, [0], breast_label=Label.NORMAL)

    with pytest.raises(NoUsableImageError, match="no exam has a known label: no image of the breast with"):
        run(few, weights, tmp_path)


def test_no_unit_is_shown_twice_among_the_cases() -> None:
    scores = np.linspace(0.0, 1.0, 9)
    labels = np.array([1, 0, 0, 1, 0, 1, 0, 0, 0], bool)

    chosen = choose_cases(units_of(scores, labels))

    places = [place for _, several in chosen for place in several]
    assert len(places) == len(set(places))
    assert dict(chosen)["Cancers with the highest scores"][0] == 5
    assert dict(chosen)["Without cancer, with the lowest scores"][0] == 1


def test_an_exam_alone_is_a_case() -> None:
    assert choose_cases(units_of(np.array([0.5]), np.array([True]))) == [
        ("Cancers with the highest scores", [0])
    ]
