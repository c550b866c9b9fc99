"""Splits: by woman, in the paper's numbers, evenly, and the same for the same seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from dibmg.data.cases import Case
from dibmg.data.demographics import demographics
from dibmg.data.manifest import Label
from dibmg.data.splits import Split, SplitError, fold_cases, split_cases
from dibmg.data.stratify import Unit, stratify
from tests.model.data.factories_data import case, screened


def counts(split: Split, label: Label) -> list[int]:
    return [sum(one.label is label for one in cases) for cases in split.parts.values()]


def parts_of(split: Split) -> dict[str, str]:
    return {one.exam: name for name, cases in split.parts.items() for one in cases}


def p_values(split: Split) -> list[float]:
    tables = demographics(split.parts)
    told = [section.p for table in tables for section in table.sections]
    told += [row.p for table in tables for section in table.sections for row in section.rows]
    return [p for p in told if p is not None]


def test_cancers_go_5_to_1_to_1_and_validation_and_test_get_as_many_normals() -> None:
    split = split_cases(screened(cancers=140, normals=800), seed=1)

    assert counts(split, Label.CANCER) == [100, 20, 20]
    assert counts(split, Label.NORMAL) == [760, 20, 20]
    assert split.notes == ()


@pytest.mark.slow
def test_the_numbers_of_the_paper_come_out() -> None:
    split = split_cases(screened(cancers=4339, normals=24768), seed=1)

    assert counts(split, Label.CANCER) == [3101, 619, 619]
    assert counts(split, Label.NORMAL) == [23530, 619, 619]
    assert min(p_values(split)) > 0.5


def test_too_few_normals_go_5_to_1_to_1_and_it_is_told() -> None:
    split = split_cases(screened(cancers=140, normals=35), seed=1)

    assert counts(split, Label.NORMAL) == [25, 5, 5]
    assert "35 normal exams are too few" in split.notes[0]


def test_benign_exams_that_were_kept_go_5_to_1_to_1() -> None:
    split = split_cases(screened(cancers=21, normals=70, benign=14), seed=1)

    assert counts(split, Label.BENIGN) == [10, 2, 2]


@pytest.mark.parametrize("seed", range(5))
def test_every_characteristic_is_spread_evenly(seed: int) -> None:
    split = split_cases(screened(cancers=280, normals=900, seed=seed), seed=seed)

    assert min(p_values(split)) > 0.8


def test_the_same_seed_gives_the_same_split_in_any_order_of_rows() -> None:
    cases = screened(cancers=40, normals=200)

    assert parts_of(split_cases(cases, seed=7)) == parts_of(split_cases(cases[::-1], seed=7))


def test_another_seed_gives_another_split() -> None:
    cases = screened(cancers=40, normals=200)

    assert parts_of(split_cases(cases, seed=7)) != parts_of(split_cases(cases, seed=8))


def several_exams_each() -> list[Case]:
    """Women with one to three exams; some had normal ones before their cancer."""
    cases = []
    for woman in range(60):
        for exam in range(1 + woman % 3):
            label = Label.CANCER if woman < 30 and exam == 0 else Label.NORMAL
            cases.append(case(f"w{woman}-{exam}", label, patient=f"w{woman}"))
    return cases


@pytest.mark.parametrize("folds", [None, 4])
def test_no_woman_is_in_two_parts(folds: int | None) -> None:
    cases = several_exams_each()

    split = split_cases(cases, seed=3) if folds is None else fold_cases(cases, folds, seed=3)

    where = Counter(patient for part in split.parts.values() for patient in {one.patient for one in part})
    assert len(where) == 60
    assert set(where.values()) == {1}
    assert sum(len(part) for part in split.parts.values()) == len(cases)


def screened_again(sick: Sequence[int], well: Sequence[int]) -> list[Case]:
    """Women with so many exams each, all with cancer or all without."""
    return [
        case(f"{label}{woman}-{exam}", label, patient=f"{label}{woman}")
        for label, several in ((Label.CANCER, sick), (Label.NORMAL, well))
        for woman, exams in enumerate(several)
        for exam in range(exams)
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("sick", "well"),
    [
        ([2] * 6, [2] * 6),
        ([1] * 14, [3] * 20),
        ([3, 1, 1], [1] * 3),
        ([1] * 20, [4] * 60),
        ([9] * 3, [9] * 3),
    ],
)
def test_every_part_has_an_exam_with_cancer_and_one_without(
    sick: list[int], well: list[int], seed: int
) -> None:
    cases = screened_again(sick, well)

    split = split_cases(cases, seed)

    assert min(counts(split, Label.CANCER)) > 0
    assert min(counts(split, Label.NORMAL)) > 0
    assert parts_of(split) == parts_of(split_cases(cases[::-1], seed))


def test_a_woman_who_was_moved_to_a_part_without_such_exams_is_told() -> None:
    split = split_cases(screened_again([1] * 7, [3] * 7), seed=0)

    assert counts(split, Label.NORMAL) == [15, 3, 3]
    told = "the shares left {} without an exam that shows no cancer: a woman was moved there"
    assert split.notes == (told.format("validation"), told.format("test"))


@pytest.mark.parametrize("seed", range(4))
def test_every_fold_has_an_exam_with_cancer_and_one_without(seed: int) -> None:
    split = fold_cases(screened_again([6, 1, 1, 1], [9, 1, 1, 1, 1]), 4, seed)

    assert min(counts(split, Label.CANCER)) > 0
    assert min(counts(split, Label.NORMAL)) > 0


def test_folds_are_equal_for_every_label() -> None:
    split = fold_cases(screened(cancers=41, normals=63, benign=22), 4, seed=2)

    for label in Label:
        assert max(counts(split, label)) - min(counts(split, label)) <= 1
    sizes = [len(part) for part in split.parts.values()]
    assert max(sizes) - min(sizes) <= 1
    assert list(split.parts) == ["0", "1", "2", "3"]


@pytest.mark.parametrize(("cancers", "normals"), [(2, 50), (50, 2)])
def test_too_few_women_cannot_be_split(cancers: int, normals: int) -> None:
    with pytest.raises(SplitError, match=f"{cancers} women with a cancer and {normals} without"):
        split_cases(screened(cancers, normals), seed=0)


def test_three_women_of_each_are_enough_for_a_split() -> None:
    split = split_cases(screened(3, 3), seed=0)

    assert counts(split, Label.CANCER) == counts(split, Label.NORMAL) == [1, 1, 1]


def test_too_few_women_cannot_be_folded() -> None:
    with pytest.raises(SplitError, match="too few for 5 folds"):
        fold_cases(screened(4, 50), 5, seed=0)


def test_rows_name_their_part_and_keep_the_order_of_their_file() -> None:
    split = split_cases(screened(7, 30), seed=0)

    for name, rows in split.rows("split").items():
        assert {row.other["split"] for row in rows} == {name}


def weights(parts: Sequence[int], units: Sequence[Unit], count: int) -> list[int]:
    return [sum(u.weight for u, p in zip(units, parts, strict=True) if p == part) for part in range(count)]


def test_quotas_hold_exactly_where_every_unit_counts_once() -> None:
    random = np.random.default_rng(0)
    units = [Unit(1, tuple(random.choice(list("abcdef"), size=2, replace=False))) for _ in range(97)]

    parts = stratify(units, [50, 40, 7], np.random.default_rng(1))

    assert weights(parts, units, 3) == [50, 40, 7]


def test_a_group_as_large_as_the_parts_is_spread_one_to_each() -> None:
    units = [Unit(1, ("rare",) if n < 4 else ("common",)) for n in range(40)]

    parts = stratify(units, [10] * 4, np.random.default_rng(1))

    assert sorted(parts[:4]) == [0, 1, 2, 3]
