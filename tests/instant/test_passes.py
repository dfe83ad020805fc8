from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.instant.models import TorchPainter
from impasto.instant.passes import blend, encode, one_pass
from impasto.networks.autoencoder import AutoEncoder, Code, blend_codes
from impasto.networks.layers import MULTIPLE

from .conftest import picture, tiny_network


@pytest.fixture(scope="module", params=[True, False], ids=["residual", "plain"])
def painter(request: pytest.FixtureRequest) -> TorchPainter:
    return TorchPainter(tiny_network(request.param))


def numbers(code: Code) -> list[Tensor]:
    return [part for pair in code for part in pair]


@pytest.mark.parametrize("size", [(500, 470), (433, 600)])
def test_statistics_of_tiles_are_those_of_the_whole(painter: TorchPainter, size: tuple[int, int]) -> None:
    image = picture(*size)
    for found, wanted in zip(numbers(encode(painter, image, 64)), numbers(painter.encode(image)), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_statistics_of_one_tile_are_not(painter: TorchPainter) -> None:
    image = picture(500, 470)
    corner = painter.encode(image[..., :240, :240])
    assert (corner.color.mean - painter.encode(image).color.mean).abs().max() > 0.05


@pytest.mark.parametrize(("size", "seed"), [((500, 470), 0), ((433, 600), 7)])
def test_no_seams(painter: TorchPainter, size: tuple[int, int], seed: int) -> None:
    content, style = picture(*size), painter.encode(picture(90, 60, seed=1))
    told = []
    whole = one_pass(painter, content, style, seed=seed)
    tiled = one_pass(painter, content, style, seed=seed, tile=128, after_tile=lambda *tile: told.append(tile))
    assert (whole - content).abs().max() > 0.1, "the network did something"
    assert (tiled - whole).abs().max() < 1e-4
    assert told == [(done, len(told)) for done in range(1, len(told) + 1)]
    assert len(told) == -(-size[0] // 128) * -(-size[1] // 128)


@pytest.mark.parametrize("depths", [(1, 1, 1, 1, 1), (1, 2, 2, 2, 2)])
def test_the_margin_is_how_far_the_network_looks(depths: tuple[int, ...]) -> None:
    network = AutoEncoder(widths=(2, 2, 2, 2, 2), depths=depths, shared=2, hints=2).double()
    with torch.no_grad():  # Nothing cancels out: whatever an output depends on has a gradient.
        for parameter in network.parameters():
            parameter.fill_(0.5)
    middle = network.margin + 2 * MULTIPLE
    content = torch.full((1, 3, 16, 2 * middle), 0.7, dtype=torch.float64, requires_grad=True)
    exchange = (torch.eye(2, dtype=torch.float64).expand(1, 5, 2, 2), torch.zeros(1, 5, 2, dtype=torch.float64))
    hint = torch.zeros(1, 2, dtype=torch.float64)

    def reach(made: Tensor, left: int, right: int) -> int:
        """How many columns before ``left`` or behind ``right`` - 1 matter to ``made``."""
        (gradient,) = torch.autograd.grad(made.sum(), content, retain_graph=True)
        columns = gradient.abs().sum(dim=(0, 1, 2)).nonzero()
        return max(left - int(columns.min()), int(columns.max()) - (right - 1))

    maps = network.features(content)
    painted = network.decode(list(maps), exchange, hint, torch.zeros(1, 1, 16, 2 * middle, dtype=torch.float64))
    found = max(reach(painted[..., column], column, column + 1) for column in range(middle, middle + MULTIPLE))
    assert network.margin - 2 * MULTIPLE < found <= network.margin
    cell = middle // MULTIPLE
    found = reach(maps[-1][..., cell], middle, middle + MULTIPLE)
    assert network.sight - 2 * MULTIPLE < found <= network.sight


def test_a_blend_of_styles(painter: TorchPainter) -> None:
    codes = [painter.encode(picture(60, 50, seed=seed)) for seed in (1, 2)]
    for found, wanted in zip(numbers(blend(codes, (0.7, 0.3))), numbers(blend_codes(*codes, 0.3)), strict=True):
        torch.testing.assert_close(found, wanted)
    for found, wanted in zip(numbers(blend(codes[:1], (1.0,))), numbers(codes[0]), strict=True):
        assert torch.equal(found, wanted)


def test_what_is_transparent_counts_for_nothing(painter: TorchPainter) -> None:
    """The code is that of the visible part, but for what the network sees across its edge; in tiles it is the same."""
    image, other = picture(320, 320), picture(320, 320, seed=1)
    alpha = torch.zeros(1, 1, 320, 320)
    alpha[..., :160] = 1
    both = torch.cat([image[..., :160], other[..., 160:]], 3)
    found = encode(painter, torch.cat([both, alpha], 1))
    alone = painter.encode(image[..., :160])
    torch.testing.assert_close(found.color.mean, alone.color.mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.color.covariance, alone.color.covariance, rtol=1e-4, atol=1e-6)
    blind = painter.encode(both)
    near, far = ((code.features.mean - alone.features.mean).abs().mean() for code in (found, blind))
    assert near < 0.5 * far
    tiled = encode(painter, torch.cat([both, alpha], 1), 64)
    for part, wanted in zip(numbers(tiled), numbers(found), strict=True):
        torch.testing.assert_close(part, wanted, rtol=1e-4, atol=1e-5)
    style = painter.encode(picture(90, 60, seed=1))
    painted = one_pass(painter, torch.cat([both, alpha], 1), style)
    assert painted.shape == (1, 3, 320, 320)
    assert not torch.equal(painted, one_pass(painter, both, style))
