"""The same questions to every term of the loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from impasto.losses import gram_matrix, total_variation
from impasto.refine import terms
from impasto.refine.shelf import StoredMaps
from impasto.refine.terms import PIXELS, Content, Gram, Term, TotalVariation, alpha_at, gram_share
from impasto.tiles import Tile, whole

CHANNELS, HEIGHT, WIDTH = 3, 11, 14
SIZE = HEIGHT, WIDTH


def random(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


MAPS = random(1, CHANNELS, *SIZE, seed=0)
TARGET = random(1, CHANNELS, *SIZE, seed=1)
STYLE = gram_matrix(random(1, CHANNELS, 9, 16, seed=2))
STYLES = torch.cat([gram_matrix(random(1, CHANNELS, 7, 5, seed=seed)) for seed in (3, 4)])
MASKS = random(2, 1, *SIZE, seed=5)
ROOT = torch.randn(5, CHANNELS, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
METRIC = ROOT.mT @ ROOT


def content(like: Tensor, normalization: str = "relative", metric: Tensor | None = None) -> Content:
    energy = TARGET.square().sum() if metric is None else (ROOT @ TARGET.flatten(2)).square().sum()
    moved = None if metric is None else metric.to(like)
    return Content("relu4_2", 1.0, TARGET.to(like), energy.item(), normalization, moved)  # type: ignore[arg-type]


def stored(like: Tensor) -> Content:
    """The photograph's maps on the disk."""
    target = StoredMaps(TARGET.shape, like.dtype, like.device)
    target.write(slice(0, HEIGHT), slice(0, WIDTH), TARGET.to(like))
    return Content("relu4_2", 1.0, target, TARGET.square().sum().item())


def masked_gram(mask: Tensor) -> Tensor:
    rows = MAPS.flatten(2)[0]
    return (rows * mask.flatten()) @ rows.T / mask.sum()


def relative(found: Tensor, target: Tensor) -> Tensor:
    return (found - target).square().sum() / target.square().sum()


@dataclass(frozen=True)
class Case:
    """A term, made in the type and on the device of a tensor, and its loss for MAPS by a formula of its own."""

    make: Callable[[Tensor], Term]
    formula: Callable[[], Tensor]


ROWS = MAPS.flatten(2)[0]
MIXED, MIXED_TARGET = ROOT @ ROWS, ROOT @ TARGET.flatten(2)[0]

CASES = {
    "gram": Case(
        lambda like: Gram("relu1_1", 1.0, STYLE.to(like)),
        lambda: relative(ROWS @ ROWS.T / ROWS.shape[1], STYLE[0]),
    ),
    "gram, as in the article": Case(
        lambda like: Gram("relu1_1", 1.0, STYLE.to(like), "gatys", channels=8),
        lambda: (ROWS @ ROWS.T / ROWS.shape[1] - STYLE[0]).square().sum() / (4 * 8**2),
    ),
    "gram with a least energy": Case(
        lambda like: Gram("relu1_1", 1.0, STYLE.to(like), least=50.0),
        lambda: (ROWS @ ROWS.T / ROWS.shape[1] - STYLE[0]).square().sum() / 50.0,
    ),
    "content under a mask": Case(
        lambda like: Content("relu4_2", 1.0, TARGET.to(like), 4.0, mask=MASKS[:1].to(like)),
        lambda: (MASKS[0] * (MAPS - TARGET).square()).sum() / 4.0,
    ),
    "gram with a metric": Case(
        lambda like: Gram("relu1_1", 1.0, STYLE.to(like), metric=METRIC.to(like)),
        lambda: relative(MIXED @ MIXED.T / ROWS.shape[1], ROOT @ STYLE[0] @ ROOT.T),
    ),
    "gram under masks": Case(
        lambda like: Gram("relu1_1", 1.0, STYLES.to(like), masks=MASKS.to(like)),
        lambda: torch.stack([relative(masked_gram(m), style) for m, style in zip(MASKS, STYLES, strict=True)]).mean(),
    ),
    "gram under masks with a metric": Case(
        lambda like: Gram("relu1_1", 1.0, STYLES.to(like), metric=METRIC.to(like), masks=MASKS.to(like)),
        lambda: torch.stack(
            [
                relative(ROOT @ masked_gram(mask) @ ROOT.T, ROOT @ style @ ROOT.T)
                for mask, style in zip(MASKS, STYLES, strict=True)
            ]
        ).mean(),
    ),
    "content": Case(content, lambda: relative(MAPS, TARGET)),
    "content, as in the article": Case(
        lambda like: content(like, "gatys"), lambda: 0.5 * (MAPS - TARGET).square().sum()
    ),
    "content with a metric": Case(lambda like: content(like, metric=METRIC), lambda: relative(MIXED, MIXED_TARGET)),
    "content on the disk": Case(stored, lambda: relative(MAPS, TARGET)),
    "total variation": Case(
        lambda like: TotalVariation(),
        lambda: torch.stack([MAPS.diff(dim=-1).square().mean(), MAPS.diff(dim=-2).square().mean()]).sum(),
    ),
}


def uneven_tiles() -> Iterator[Tile]:
    """Nine parts, of one row and of one column too, with windows that reach one position further."""
    for top, bottom in ((0, 3), (3, 4), (4, HEIGHT)):
        for left, right in ((0, 6), (6, 13), (13, WIDTH)):
            window = slice(top, min(bottom + 1, HEIGHT)), slice(left, min(right + 1, WIDTH))
            yield Tile(slice(top, bottom), slice(left, right), window, SIZE)


def shown(term: Term, maps: Tensor, tile: Tile) -> Tensor:
    """What a term is shown of a tile."""
    return maps[(..., *tile.window)] if term.layer == PIXELS else maps[..., tile.rows, tile.columns]


def loss(term: Term, maps: Tensor) -> Tensor:
    return term.loss(term.look(maps, whole(*SIZE)))


def test_every_term_is_asked() -> None:
    kinds = {kind for kind in vars(terms).values() if isinstance(kind, type) and hasattr(kind, "look")} - {Term}
    assert {type(case.make(MAPS)) for case in CASES.values()} == kinds


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
class TestEveryTerm:
    def test_is_its_formula(self, case: Case) -> None:
        assert loss(case.make(MAPS), MAPS).item() == pytest.approx(case.formula().item(), rel=1e-12)

    def test_adds_up_over_tiles(self, case: Case) -> None:
        """The statistic; and the gradient, found tile by tile from the derivative of the loss by the sum."""
        term = case.make(MAPS)
        maps = MAPS.clone().requires_grad_()
        statistic = term.look(maps, whole(*SIZE))
        (gradient,) = torch.autograd.grad(term.loss(statistic), maps)
        total = torch.stack([term.look(shown(term, MAPS, tile), tile) for tile in uneven_tiles()]).sum(0)
        torch.testing.assert_close(total, statistic.detach(), rtol=1e-12, atol=1e-12)
        total.requires_grad_()
        (slope,) = torch.autograd.grad(term.loss(total), total)
        found = torch.zeros_like(MAPS)
        for tile in uneven_tiles():
            part = shown(term, MAPS, tile).clone().requires_grad_()
            shown(term, found, tile).add_(torch.autograd.grad(term.look(part, tile), part, slope)[0])
        torch.testing.assert_close(found, gradient, rtol=1e-12, atol=1e-12 * gradient.abs().max().item())

    def test_gradcheck(self, case: Case) -> None:
        term = case.make(MAPS)
        assert torch.autograd.gradcheck(lambda maps: loss(term, maps), (MAPS.clone().requires_grad_(),))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_keeps_the_type(self, case: Case, dtype: torch.dtype) -> None:
        maps = MAPS.to(dtype).requires_grad_()
        term = case.make(maps.detach())
        statistic = term.look(maps, whole(*SIZE))
        found = term.loss(statistic)
        (gradient,) = torch.autograd.grad(found, maps)
        assert found.shape == ()
        assert {statistic.dtype, found.dtype, gradient.dtype} == {dtype}
        assert {statistic.device, found.device, gradient.device} == {maps.device}
        assert found.item() == pytest.approx(case.formula().item(), rel=1e-5)

    def test_keeps_the_device(self, case: Case) -> None:
        """Nothing meets a number of another device; that of no numbers stands for all."""
        if case.make is stored:
            pytest.skip("a file holds numbers")
        maps = torch.empty_like(MAPS, device="meta").requires_grad_()
        term = case.make(maps.detach())
        statistic = term.look(maps, whole(*SIZE))
        found = term.loss(statistic)
        (gradient,) = torch.autograd.grad(found, maps)
        assert {statistic.device.type, found.device.type, gradient.device.type} == {"meta"}

    def test_takes_maps_in_either_layout(self, case: Case) -> None:
        term = case.make(MAPS)
        layouts = [MAPS.contiguous(memory_format=how) for how in (torch.contiguous_format, torch.channels_last)]
        one, other = (loss(term, maps).item() for maps in layouts)
        assert one == pytest.approx(other, rel=1e-12)


class TestMasks:
    def test_of_ones_give_the_plain_gram(self) -> None:
        plain = Gram("relu1_1", 1.0, STYLE)
        masked = Gram("relu1_1", 1.0, STYLE, masks=torch.ones(1, 1, *SIZE, dtype=torch.float64))
        for tile in (whole(*SIZE), *uneven_tiles()):
            part = shown(plain, MAPS, tile)
            torch.testing.assert_close(masked.look(part, tile), plain.look(part, tile), rtol=1e-12, atol=1e-12)
        assert loss(masked, MAPS).item() == pytest.approx(loss(plain, MAPS).item(), rel=1e-12)

    def test_only_what_a_mask_shows_counts(self) -> None:
        mask = torch.zeros(1, 1, *SIZE, dtype=torch.float64)
        mask[..., 2:7, 4:9] = 0.7
        found = gram_share(MAPS, whole(*SIZE), mask)
        torch.testing.assert_close(found, gram_matrix(MAPS[..., 2:7, 4:9]), rtol=1e-12, atol=1e-12)

    def test_an_empty_mask_is_no_division_by_zero(self) -> None:
        maps = MAPS.clone().requires_grad_()
        term = Gram("relu1_1", 1.0, STYLES, masks=torch.stack([MASKS[0], torch.zeros_like(MASKS[0])]))
        (gradient,) = torch.autograd.grad(loss(term, maps), maps)
        assert torch.isfinite(gradient).all()

    def test_soft_masks_share_a_picture(self) -> None:
        """With weights that add up to 1, the masked matrices weighed by their masks add up to the plain one."""
        masks = torch.cat([MASKS[:1], 1 - MASKS[:1]])
        shares = masks.mean((1, 2, 3))[:, None, None]
        found = (shares * gram_share(MAPS, whole(*SIZE), masks)).sum(0, keepdim=True)
        torch.testing.assert_close(found, gram_matrix(MAPS), rtol=1e-12, atol=1e-12)


def test_total_variation_is_the_metrics() -> None:
    assert loss(TotalVariation(), MAPS).item() == pytest.approx(total_variation(MAPS).item(), rel=1e-12)


def test_alpha_at_a_layer_is_the_mean_of_its_pixels() -> None:
    alpha = torch.zeros(1, 1, 11, 14)
    alpha[..., :4, :6] = 1
    assert torch.equal(alpha_at(alpha, "relu1_1"), alpha)
    found = alpha_at(alpha, "relu3_1")
    assert found.shape == (1, 1, 2, 3), "as large as the maps"
    assert found[0, 0].tolist() == [[1, 0.5, 0], [0, 0, 0]]
