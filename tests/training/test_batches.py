from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.configs import AutoencoderConfig
from impasto.features.extractor import Extractor
from impasto.layers import STYLE_LAYERS
from impasto.losses import content_loss, gram_matrix, style_loss
from impasto.networks.grain import PERIOD
from impasto.networks.layers import MULTIPLE
from impasto.training.batches import Batch, draw_batches, measure_output, pair_losses
from impasto.training.data import list_images, read_images


class TestBatches:
    @pytest.fixture
    def images(self, data: Path) -> tuple[list[Tensor], list[Tensor]]:
        return tuple(read_images(list_images(data / name)) for name in ("contents", "styles"))  # type: ignore[return-value]

    @staticmethod
    def fabric(rank: int = 0, world: int = 1) -> Any:
        return SimpleNamespace(global_rank=rank, world_size=world, device=torch.device("cpu"), autocast=nullcontext)

    def draw(
        self, images: tuple[list[Tensor], list[Tensor]], tiny: Extractor, first: int = 0, **place: int
    ) -> Iterator:
        config = AutoencoderConfig(steps=6, batch=4, side=32, pairings=3)
        return draw_batches(config, *images, tiny, self.fabric(**place), first)

    def test_the_same_crops_make_other_pairs(self, images: tuple[list[Tensor], list[Tensor]], tiny: Extractor) -> None:
        one, two, three, new, *_ = self.draw(images, tiny)
        assert torch.equal(one.contents, two.contents)
        assert torch.equal(one.styles[[1, 2, 3, 0]], two.styles)
        assert torch.equal(one.styles[[2, 3, 0, 1]], three.styles)
        assert not torch.equal(one.contents, new.contents)

    def test_targets_are_those_of_their_rows(self, images: tuple[list[Tensor], list[Tensor]], tiny: Extractor) -> None:
        for batch in self.draw(images, tiny):
            maps = tiny(batch.styles, STYLE_LAYERS)
            for layer in STYLE_LAYERS:
                torch.testing.assert_close(batch.grams[layer], gram_matrix(maps[layer]))
                own = gram_matrix(tiny(batch.contents, [layer])[layer])
                torch.testing.assert_close(batch.content_grams[layer], own)
            torch.testing.assert_close(batch.features, tiny(batch.contents, ["relu4_2"])["relu4_2"])

    def test_a_resumed_run_draws_the_same(self, images: tuple[list[Tensor], list[Tensor]], tiny: Extractor) -> None:
        every = list(self.draw(images, tiny))
        for first in range(6):
            later = next(self.draw(images, tiny, first))
            assert torch.equal(later.contents, every[first].contents)
            assert torch.equal(later.styles, every[first].styles)
            assert later.corner == every[first].corner

    def test_every_step_sees_another_part_of_the_grain(
        self, images: tuple[list[Tensor], list[Tensor]], tiny: Extractor
    ) -> None:
        corners = [batch.corner for batch in self.draw(images, tiny)]
        assert len(set(corners)) == len(corners)
        assert all(0 <= start < PERIOD and start % MULTIPLE == 0 for corner in corners for start in corner)

    def test_processes_share_the_rows(self, images: tuple[list[Tensor], list[Tensor]], tiny: Extractor) -> None:
        whole = next(self.draw(images, tiny))
        parts = [next(self.draw(images, tiny, rank=rank, world=2)) for rank in (0, 1)]
        assert torch.equal(parts[0].contents, whole.contents[::2])
        assert torch.equal(parts[1].styles, whole.styles[1::2])
        assert parts[0].corner == parts[1].corner == whole.corner


class TestMeasuring:
    @staticmethod
    def batch(contents: Tensor, styles: Tensor, tiny: Extractor) -> Batch:
        grams = [
            {layer: gram_matrix(maps) for layer, maps in tiny(images, STYLE_LAYERS).items()}
            for images in (styles, contents)
        ]
        return Batch(contents, styles, tiny(contents, ["relu4_2"])["relu4_2"], *grams)

    def test_ordinary_pairs_have_the_relative_losses(self, tiny: Extractor) -> None:
        generator = torch.Generator().manual_seed(0)
        contents, styles, output = torch.rand(3, 2, 3, 32, 32, generator=generator)
        batch = self.batch(contents, styles, tiny)
        assert all((pair_losses(batch.content_grams[layer], batch.grams[layer]) < 1).all() for layer in STYLE_LAYERS)
        maps = tiny(output, ["relu4_2", *STYLE_LAYERS])
        content, style = measure_output(maps, batch)
        torch.testing.assert_close(content, content_loss(maps["relu4_2"], batch.features))
        expected = [style_loss(gram_matrix(maps[layer]), batch.grams[layer]) for layer in STYLE_LAYERS]
        torch.testing.assert_close(style, torch.stack(expected).mean())

    def test_a_style_without_energy_counts_by_its_share(self, tiny: Extractor) -> None:
        """The middle gray is black to the tiny extractor; in the plain mean it would count millions of times."""
        generator = torch.Generator().manual_seed(0)
        contents = torch.rand(1, 3, 32, 32, generator=generator)
        styles = 0.5 + 1e-3 * torch.rand(1, 3, 32, 32, generator=generator)
        batch = self.batch(contents, styles, tiny)
        _, untouched = measure_output(tiny(contents, ["relu4_2", *STYLE_LAYERS]), batch)
        assert untouched.item() == pytest.approx(1, rel=1e-4)
        assert style_loss(batch.content_grams["relu1_1"], batch.grams["relu1_1"]) > 1000
