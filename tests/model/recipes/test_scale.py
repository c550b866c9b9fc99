"""What a card says of scale, and how it is measured."""

from __future__ import annotations

import pytest

from dibmg.recipes.scale import ScaleChange, _with_air, measure_scale
from dibmg.synthesis.exam import synthesize_exam
from dibmg.weights import MODEL_CARD, RELEASED


def test_the_air_makes_an_image_8_percent_smaller_in_the_square_and_changes_none_of_its_pixels() -> None:
    for mammogram in synthesize_exam(3, 1, 512).mammograms.values():
        padded = _with_air(mammogram)

        added = (padded.shape[0] - 512) // 2
        assert 512 / padded.shape[0] == pytest.approx(0.92, abs=0.002)
        assert (padded.pixels[added : added + 512] == mammogram.pixels).all()
        assert len(set(padded.pixels[:added].ravel().tolist())) == 1


def test_every_view_of_the_exams_is_read_twice() -> None:
    found = measure_scale(RELEASED / "synthetic", exams=1)

    assert (len(found.differences), found.exams) == (4, 1)
    assert all(0 < one < 1 for one in found.differences)


def test_the_card_of_the_released_set_says_it_in_the_words_of_the_recipe() -> None:
    card = (RELEASED / "synthetic" / MODEL_CARD).read_text(encoding="utf-8")

    words = ScaleChange((0.0, 0.004, 0.3, 0.004), 1).sentence

    assert "up to 0.30 (median 0.004; by more than 0.1 in 1), measured on 4 views of 1 synthetic" in words
    assert f"\n- {words.partition(' by up to')[0]} by up to" in card
