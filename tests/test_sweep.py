from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageDraw, ImageFont
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.images import to_pil
from impasto.job import Event, Progress
from impasto.paint import stylize
from impasto.recipe import Recipe
from impasto.sweep import (
    SweepCell,
    cell_name,
    check_weights,
    cumulative_layers,
    figures,
    label,
    order,
    sweep,
    sweep_sheet,
)

LAMBDAS = (1e-5, 1e-4, 1e-3, 1e-2)

Made = Callable[..., list[SweepCell]]


@pytest.fixture
def made(files: tuple[Path, Path], tiny_file: str) -> Made:
    """Makes the cells in a folder; the tiny extractor looks."""

    def made(folder: Path, weights: Any = LAMBDAS, **settings: Any) -> list[SweepCell]:
        given = {"size": 64, "steps": 60, "extractor": tiny_file, **settings}
        return list(sweep(*files, weights, folder=folder, **given))

    return made


class TestOrder:
    def test_two_rows_of_three(self) -> None:
        assert list(order(2, 3)) == [
            ((0, 2), None),
            ((0, 1), (0, 2)),
            ((0, 0), (0, 1)),
            ((1, 2), (0, 2)),
            ((1, 1), (1, 2)),
            ((1, 0), (1, 1)),
        ]

    @given(st.integers(1, 6), st.integers(1, 6))
    def test_every_cell_once_and_neighbors_before(self, rows: int, columns: int) -> None:
        done: list[tuple[int, int]] = []
        for cell, neighbor in order(rows, columns):
            if done:
                assert neighbor in done
                assert neighbor is not None
                assert abs(cell[0] - neighbor[0]) + abs(cell[1] - neighbor[1]) == 1
            else:
                assert neighbor is None
            done.append(cell)
        assert sorted(done) == [(row, column) for row in range(rows) for column in range(columns)]

    def test_rows_of_the_article(self) -> None:
        rows = cumulative_layers()
        assert rows[0] == ("relu1_1",)
        assert rows[-1] == ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
        assert [len(row) for row in rows] == [1, 2, 3, 4, 5]
        assert all(longer[: len(row)] == row for row, longer in pairwise(rows))


class TestNames:
    @pytest.mark.parametrize(
        ("weight", "text"),
        [(1e-5, "1e-5"), (1e-2, "1e-2"), (0.002, "2e-3"), (2.5e-4, "2.5e-4"), (0.5, "0.5"), (0, "0"), (10, "10")],
    )
    def test_label(self, weight: float, text: str) -> None:
        assert label(weight) == text

    @given(st.floats(1e-12, 1e6))
    def test_label_is_the_number_to_six_digits(self, weight: float) -> None:
        assert float(label(weight)) == pytest.approx(weight, rel=1e-5)

    def test_cell_name(self) -> None:
        assert cell_name(1e-3, None) == "lambda-1e-3.png"
        assert cell_name(1e-3, ("relu1_1",)) == "relu1_1-lambda-1e-3.png"
        assert cell_name(1e-3, ("relu1_1", "relu2_1", "relu3_1")) == "relu1_1-relu3_1-lambda-1e-3.png"
        names = {cell_name(weight, row) for weight in LAMBDAS for row in cumulative_layers()}
        assert len(names) == 20

    def test_weights_are_sorted(self) -> None:
        assert check_weights([1e-2, 0, 1e-4]) == [0, 1e-4, 1e-2]

    @pytest.mark.parametrize(
        ("weights", "message"),
        [([], "content_weights: there is none"), ([1e-3, 0.1, 0.001], "content_weights: 1e-3 stands there twice")],
    )
    def test_mistakes(self, weights: list[float], message: str) -> None:
        with pytest.raises(ImpastoError, match=message):
            check_weights(weights)


class TestTheCells:
    def test_content_falls_and_style_rises_with_lambda(self, made: Made, tmp_path: Path) -> None:
        cells = {cell.column: cell.painting.losses[-1] for cell in made(tmp_path / "cells")}
        along = [cells[column] for column in range(4)]
        assert all(a.losses["content"] > b.losses["content"] for a, b in pairwise(along))
        assert all(a.losses["style"] < b.losses["style"] for a, b in pairwise(along))

    def test_as_good_as_cold_starts(self, made: Made, tiny_file: str, files: tuple[Path, Path], tmp_path: Path) -> None:
        rows = (("relu1_1", "relu2_1"), ("relu1_1", "relu2_1", "relu3_1"))
        for cell in made(tmp_path / "cells", rows=rows)[1:]:
            assert cell.layers is not None
            cold = stylize(
                *files,
                size=64,
                steps=60,
                content_weight=cell.content_weight,
                style_layers={layer: 1 / len(cell.layers) for layer in cell.layers},
                extractor=tiny_file,
            )
            assert len(cell.painting.losses) == len(cold.losses)
            warm_total, cold_total = (p.losses[-1].total_loss for p in (cell.painting, cold))
            assert warm_total <= 1.02 * cold_total, (cell.row, label(cell.content_weight))

    def test_begins_with_the_neighbors_picture(self, made: Made, tmp_path: Path) -> None:
        cells = made(tmp_path / "cells", rows=cumulative_layers()[:2], steps=6, weights=(1e-4, 1e-2))
        by_place = {(cell.row, cell.column): cell for cell in cells}
        assert [(cell.row, cell.column) for cell in cells] == [(0, 1), (0, 0), (1, 1), (1, 0)]
        assert cells[0].painting.recipe.settings["init"] == "content"
        for cell in cells[1:]:
            assert cell.neighbor is not None
            start = cell.painting.recipe.init_image
            assert start is not None
            assert start.name == str(by_place[cell.neighbor].path)
        assert [len(cell.painting.losses) for cell in cells] == [6, 6, 6, 6]

    def test_each_file_can_be_made_again_from_its_recipe(self, made: Made, tmp_path: Path) -> None:
        for cell in made(tmp_path / "cells", steps=12):
            recipe = Recipe.from_file(cell.path)
            made_of = cell.painting.recipe
            assert recipe == made_of.without_folders()
            again = stylize(made_of.content.name, [style.name for style in made_of.styles], **made_of.settings)
            assert torch.equal(again.tensor, cell.painting.tensor)

    def test_layers_of_a_row_weigh_the_same(self, made: Made, tmp_path: Path) -> None:
        cells = made(tmp_path / "cells", rows=cumulative_layers(), steps=2, weights=(1e-3,))
        assert [cell.painting.recipe.settings["style_layers"] for cell in cells] == [
            {layer: pytest.approx(1 / len(row)) for layer in row} for row in cumulative_layers()
        ]

    def test_without_rows_the_settings_say_the_layers(self, made: Made, tmp_path: Path) -> None:
        (cell,) = made(tmp_path, steps=2, weights=(1e-3,), style_layers={"relu2_1": 1.0})
        assert cell.layers is None
        assert cell.painting.recipe.settings["style_layers"] == {"relu2_1": 1.0}

    def test_stopped_it_keeps_what_is_done(self, tiny_file: str, files: tuple[Path, Path], tmp_path: Path) -> None:
        heard: list[int] = []

        def report(event: Event) -> None:
            if isinstance(event, Progress):
                heard.append(event.step)
            if heard.count(1) == 3:
                raise KeyboardInterrupt

        cells: list[SweepCell] = []
        brief = {"size": 48, "steps": 3, "extractor": tiny_file}
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 (the loop is what is stopped)
            for cell in sweep(*files, LAMBDAS, folder=tmp_path / "cells", report=report, **brief):
                cells.append(cell)
        assert [cell.column for cell in cells] == [3, 2]
        assert sorted(path.name for path in (tmp_path / "cells").iterdir()) == ["lambda-1e-2.png", "lambda-1e-3.png"]

    def test_files_that_are_there_are_kept(self, made: Made, tmp_path: Path) -> None:
        (tmp_path / "lambda-1e-2.png").write_text("precious")
        with pytest.raises(ImpastoError, match="give force to replace it"):
            made(tmp_path, steps=1)
        assert (tmp_path / "lambda-1e-2.png").read_text() == "precious"
        assert len(made(tmp_path, steps=1, force=True)) == 4

    def test_no_folder_is_made_for_a_mistake(self, made: Made, tmp_path: Path) -> None:
        with pytest.raises(ImpastoError, match="colour: no such setting"):
            made(tmp_path / "cells", colour="red")
        assert not (tmp_path / "cells").exists()


class TestFigures:
    def test_of_both_kinds_of_cell(self, made: Made, tmp_path: Path) -> None:
        cells = made(tmp_path, rows=cumulative_layers()[:1], steps=6, weights=(1e-4, 1e-2))
        by_place = {(cell.row, cell.column): cell for cell in cells}
        first, second = (figures(cell, by_place) for cell in cells)
        assert first["begins_with"] is None
        assert second["begins_with"] == {"content_weight": 1e-2, "style_layers": ["relu1_1"]}
        assert (first["steps"], second["steps"]) == (6, 6)
        last = cells[1].painting.losses[-1]
        assert second["losses"] == last.losses
        assert list(second["losses"]) == ["content", "style"]
        assert second["total_loss"] == last.total_loss
        assert second["content_weight"] == 1e-4


class TestSheet:
    def draw(self, pair: tuple[Tensor, Tensor], rows: Any, cells: list[SweepCell]):
        photo, painting = (to_pil(image) for image in pair)
        return sweep_sheet(photo, painting, LAMBDAS, rows, {(cell.row, cell.column): cell for cell in cells})

    @pytest.mark.parametrize("size", [48, 128, 320])
    @pytest.mark.parametrize("vary", [False, True])
    def test_even_margins(self, made: Made, pair: tuple[Tensor, Tensor], tmp_path: Path, size: int, vary: bool) -> None:
        rows = cumulative_layers() if vary else (None,)
        cells = made(tmp_path, rows=rows, size=size, steps=1)
        sheet = np.asarray(self.draw(pair, rows, cells))
        dark = np.argwhere((sheet < 250).any(-1))
        (top, left), (bottom, right) = dark.min(0), dark.max(0)
        # Letters have a little air of their own above and below.
        assert left == pytest.approx(24, abs=3)
        assert sheet.shape[1] - 1 - right == pytest.approx(24, abs=4)
        assert 24 <= top <= 40
        assert 24 <= sheet.shape[0] - 1 - bottom <= 32

    def test_what_is_missing_says_so(self, made: Made, pair: tuple[Tensor, Tensor], tmp_path: Path) -> None:
        cells = made(tmp_path, steps=1)
        whole, part = self.draw(pair, (None,), cells), self.draw(pair, (None,), cells[:2])
        assert part.size == whole.size
        difference = np.argwhere((np.asarray(whole) != np.asarray(part)).any(-1))
        # Along falling lambda: what was not made is on the left.
        assert difference.max(0)[1] < whole.width / 2

    def test_words_are_made_of_letters_that_the_font_has(
        self, made: Made, pair: tuple[Tensor, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn: list[str] = []
        genuine = ImageDraw.ImageDraw.text

        def listen(self: ImageDraw.ImageDraw, place: Any, words: str, *rest: Any, **more: Any) -> None:
            drawn.append(words)
            genuine(self, place, words, *rest, **more)

        monkeypatch.setattr(ImageDraw.ImageDraw, "text", listen)
        rows = cumulative_layers()
        self.draw(pair, rows, made(tmp_path, rows=rows, size=48, steps=1))
        assert {"Content weight and style layers", "lambda = 1e-5", "+ relu5_1", "style"} <= set(drawn)
        words = "".join(drawn)
        font = ImageFont.load_default(20)
        missing = bytes(font.getmask("\uffff"))
        assert [letter for letter in sorted(set(words)) if bytes(font.getmask(letter)) == missing] == []
