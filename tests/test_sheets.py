from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kornia.color import rgb_to_lab
from PIL import Image, ImageDraw, ImageFont

from impasto.sheets import GAP, INK, PAPER, Cell, beside, empty, fitted, grid, heat, heat_colors, page, stack, text

RED, BLUE = (220, 30, 30), (30, 30, 220)


def solid(width: int, height: int, color: tuple[int, int, int] = RED) -> Image.Image:
    return Image.new("RGB", (width, height), color)


def ink(block: Image.Image) -> tuple[int, int, int, int]:
    """The box around everything that is not paper."""
    dark = np.argwhere((np.asarray(block) != PAPER).any(-1))
    (top, left), (bottom, right) = dark.min(0), dark.max(0)
    return int(left), int(top), int(right) + 1, int(bottom) + 1


def where(sheet: Image.Image, color: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The box around one color."""
    same = np.argwhere((np.asarray(sheet) == color).all(-1))
    (top, left), (bottom, right) = same.min(0), same.max(0)
    return int(left), int(top), int(right) + 1, int(bottom) + 1


class TestText:
    @given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30), st.integers(10, 40))
    def test_nothing_is_clipped(self, words: str, size: int) -> None:
        # Drawn with room on all sides there is no more to see than in the block.
        whole = Image.new("RGB", (40 * len(words) + 100, 150), PAPER)
        ImageDraw.Draw(whole).text((50, 50), words, INK, ImageFont.load_default(size))
        left, top, right, bottom = ink(whole)
        block = text(words, size)
        assert int((255 - np.asarray(block, np.int64)).sum()) == int((255 - np.asarray(whole, np.int64)).sum())
        assert (right - left, bottom - top) == (ink(block)[2] - ink(block)[0], ink(block)[3] - ink(block)[1])

    def test_breaks_into_lines_that_fit(self) -> None:
        words = "the quick brown fox jumps over the lazy dog"
        whole, broken = text(words, 16), text(words, 16, width=120)
        assert broken.width <= 121 < whole.width
        assert broken.height >= 3 * whole.height
        # No word is lost: the amount of ink stays the same, up to the edges of letters between pixels.
        amount = [int((255 - np.asarray(block, np.int64)).sum()) for block in (whole, broken)]
        assert amount[1] == pytest.approx(amount[0], rel=0.03)

    def test_a_word_wider_than_the_room_stays_whole(self) -> None:
        assert text("incomprehensibilities", 16, width=20).width == text("incomprehensibilities", 16).width

    def test_lines_of_its_own(self) -> None:
        assert text("one\ntwo\nthree").height == 3 * text("one").height


class TestBlocks:
    def test_stack_and_beside(self) -> None:
        above = stack([solid(10, 4), solid(6, 8, BLUE)], gap=5)
        assert above.size == (10, 4 + 5 + 8)
        assert where(above, BLUE) == (0, 9, 6, 17)
        assert where(stack([solid(10, 4), solid(6, 8, BLUE)], gap=5, centered=True), BLUE) == (2, 9, 8, 17)
        next_to = beside([solid(10, 4), solid(6, 8, BLUE)], gap=5)
        assert next_to.size == (21, 8)
        assert where(next_to, BLUE) == (15, 0, 21, 8)

    def test_a_page_has_the_same_margin_all_around(self) -> None:
        sheet = page([solid(50, 20), solid(80, 30)])
        assert ink(sheet) == (2 * GAP, 2 * GAP, sheet.width - 2 * GAP, sheet.height - 2 * GAP)

    def test_fitted_keeps_the_form(self) -> None:
        assert fitted(solid(200, 100), 50).size == (50, 25)
        assert fitted(solid(4, 8), 80).size == (40, 80)
        assert fitted(solid(300, 1), 30).size == (30, 1)

    def test_enlarged_pixels_stay_squares(self) -> None:
        board = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8))
        large = np.asarray(fitted(board, 20))
        assert set(np.unique(large)) == {0, 255}
        assert (large[:10, :10] == 0).all()

    def test_empty_is_framed(self) -> None:
        field = np.asarray(empty((9, 7)))
        assert (field[0] == field[-1]).all()
        assert (field[3, 4] != field[0, 0]).any()


class TestGrid:
    def test_without_labels_it_is_pictures_and_gaps(self) -> None:
        sheet = grid([[Cell(solid(20, 10)), Cell(solid(20, 10, BLUE))], [Cell(solid(20, 10))]])
        assert sheet.size == (2 * 20 + GAP, 2 * 10 + GAP)
        assert where(sheet, BLUE) == (20 + GAP, 0, 40 + GAP, 10)

    def test_a_long_label_widens_its_column_and_stays_whole(self) -> None:
        words = "a label much wider than its picture"
        sheet = grid([[Cell(solid(20, 10), words), Cell(solid(20, 10, BLUE))]])
        label = text(words)
        assert sheet.width == label.width + GAP + 20
        left, _, right, _ = where(sheet, RED)
        assert (left + right) / 2 == pytest.approx(label.width / 2, abs=1)
        under = np.asarray(sheet)[10 + 4 :, : label.width]
        assert (under == np.asarray(label)).all()

    def test_heads_and_columns(self) -> None:
        sheet = grid(
            [[Cell(solid(60, 40), "one")], [Cell(solid(60, 40, BLUE), "two")]],
            columns=["first"],
            heads=["a", "a head\nof\nmany\nlines, taller\nthan its picture"],
        )
        left, top, right, bottom = where(sheet, BLUE)
        assert (right - left, bottom - top) == (60, 40)
        head = text("a head\nof\nmany\nlines, taller\nthan its picture", 16)
        assert head.height > 40
        assert left == head.width + GAP
        # The picture is centered on its head, and everything is inside.
        strip = ink(sheet.crop((0, where(sheet, RED)[3] + 30, left - GAP // 2, sheet.height)))
        assert (strip[1] + strip[3]) / 2 + where(sheet, RED)[3] + 30 == pytest.approx((top + bottom) / 2, abs=6)
        assert ink(sheet)[2] <= sheet.width

    def test_captions_of_one_row_stand_on_one_line(self) -> None:
        sheet = np.asarray(grid([[Cell(solid(60, 40), "xx"), Cell(solid(60, 20, BLUE), "xx")]]))
        lines = [np.flatnonzero((part[44:] < 128).all(-1).any(1)) for part in (sheet[:, :60], sheet[:, 60 + GAP :])]
        assert lines[0].size > 0
        assert (lines[0] == lines[1]).all()


class TestHeat:
    def test_ends_and_what_lies_outside(self) -> None:
        colors = heat_colors()
        assert colors.shape == (256, 3)
        picture = np.asarray(heat(np.array([[-3.0, 0.0, 0.5, 1.0, 7.0]])))
        assert (picture[0, 0] == colors[0]).all()
        assert (picture[0, 1] == colors[0]).all()
        assert (picture[0, 3] == colors[-1]).all()
        assert (picture[0, 4] == colors[-1]).all()
        assert colors[0].max() < 20
        assert colors[-1].min() > 190

    def test_perceptually_uniform(self) -> None:
        rgb = torch.from_numpy(heat_colors().astype(np.float64) / 255)
        lab = rgb_to_lab(rgb.T[None, :, :, None])[0, :, :, 0].T
        # Over sixteenths, where the rounding to 8 bits does not show.
        steps = (lab[16::16] - lab[:-16:16]).norm(dim=1)
        assert steps.std() / steps.mean() < 0.03
        assert (lab[4::4, 0] > lab[:-4:4, 0]).all()

    def test_all_colors_can_be_shown(self) -> None:
        # Clipping to sRGB would leave runs of zeros or 255s.
        inner = heat_colors()[1:-1]
        assert inner.min() > 0
        assert inner.max() < 255
