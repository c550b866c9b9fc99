"""Tables 1 and 2: counts, and the chi-square tests beside them."""

from __future__ import annotations

import pytest

from dibmg.data.cases import Case
from dibmg.data.demographics import DemographicsTable, TableSection, demographics
from dibmg.data.manifest import Density, Feature, Label
from dibmg_node.domain.study import Laterality
from tests.model.data.factories_data import case, row, screened


def section(table: DemographicsTable, name: str) -> TableSection:
    return next(one for one in table.sections if one.name == name)


def aged(name: str, young: int, old: int) -> list[Case]:
    return [case(f"{name}{n}", age=40 if n < young else 60) for n in range(young + old)]


def test_a_p_value_is_that_of_the_textbook_formula() -> None:
    (table,) = demographics({"train": aged("a", 20, 30), "test": aged("b", 30, 20)})

    # by hand: every expected count is 25, so chi² = 4 · 5² / 25 = 4; P(chi² > 4) with 1 degree of freedom
    assert section(table, "age").p == pytest.approx(0.0455003, abs=1e-7)
    assert [one.counts for one in section(table, "age").rows] == [(20, 30), (30, 20)]


def test_cancers_and_normals_have_a_table_each() -> None:
    tables = demographics({"train": screened(20, 20), "test": screened(20, 20, seed=1)})

    assert [table.label for table in tables] == [Label.CANCER, Label.NORMAL]
    assert [one.name for one in tables[1].sections] == ["age", "density", "manufacturer"]
    assert [one.name for one in tables[0].sections][3:] == ["cancer type", "feature", "size"]


def test_a_mass_with_calcifications_counts_in_both_rows() -> None:
    both = frozenset({Feature.MASS, Feature.CALCIFICATION})
    cases = [
        case("a", Label.CANCER, features=both),
        case("b", Label.CANCER, features=frozenset({Feature.MASS})),
    ]

    (table,) = demographics({"train": cases})

    assert {one.group: one.counts for one in section(table, "feature").rows} == {
        "mass": (2,),
        "calcification": (1,),
    }


def test_what_is_not_known_is_counted_beside_the_groups() -> None:
    (table,) = demographics({"train": [case("a", density=Density.A), case("b")], "test": [case("c")]})

    assert section(table, "density").not_known == (1, 1)
    assert section(table, "density").p is None


def test_a_test_on_few_cases_is_marked() -> None:
    (table,) = demographics({"train": aged("a", 3, 4), "test": aged("b", 4, 3)})

    assert section(table, "age").sparse


def test_what_a_case_is_comes_from_the_breast_with_the_cancer() -> None:
    sick = row(label=Label.CANCER, breast_label=Label.CANCER, size_mm=12, features=frozenset({Feature.MASS}))
    well = row(
        label=Label.CANCER,
        breast_label=Label.BENIGN,
        laterality=Laterality.LEFT,
        size_mm=40,
        features=frozenset({Feature.DISTORTION}),
    )

    one = Case((sick, well))

    assert (one.size_mm, one.features) == (12, {Feature.MASS})
