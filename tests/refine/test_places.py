from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from impasto.features.extractor import Extractor
from impasto.layers import STYLE_LAYERS
from impasto.refine.places import LARGEST, by_positions, copies, upright_share

from .conftest import objective

EQUAL = dict.fromkeys(STYLE_LAYERS, 0.2)


def layout(height: int = 30, width: int = 40, *, top: float, bottom: float) -> Tensor:
    """Light that falls evenly from the top to the bottom, with some noise."""
    rows = torch.linspace(top, bottom, height)[:, None].expand(3, height, width)
    return (rows + 0.05 * torch.rand(3, height, width, generator=torch.Generator().manual_seed(height)))[None]


LIGHT_ABOVE, DARK_ABOVE = layout(top=0.9, bottom=0.1), layout(50, 36, top=0.1, bottom=0.9)
ASIDE = LIGHT_ABOVE.transpose(-1, -2).contiguous()


class TestCopies:
    def test_mirrored_and_turned_in_equal_parts(self) -> None:
        style = torch.rand(1, 4, 5, 7)
        found = list(copies(style, torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))))
        for (copy, share), wanted in zip(found, (style, style.flip(3), style.flip(2), style.flip(2, 3)), strict=True):
            assert torch.equal(copy, wanted)
            assert share == 0.25

    def test_a_sky_keeps_the_paintings_sky(self) -> None:
        found = list(copies(layout(20, 26, top=0.8, bottom=0.2), LIGHT_ABOVE))
        assert [share for _, share in found] == [0.5, 0.5]
        assert all(copy[..., 0, :].mean() > copy[..., -1, :].mean() for copy, _ in found)

    def test_none_where_a_layer_has_positions_enough(self) -> None:
        style = torch.rand(1, 3, 8, 8)
        ((found, share),) = copies(style, torch.rand(1, 3, 4, LARGEST + 1))
        assert found is style
        assert share == 1

    @given(seed=st.integers(0, 2**32 - 1))
    def test_shares_add_up_to_one(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        style, photograph = torch.rand(2, 1, 3, 16, 20, generator=generator)
        assert sum(share for _, share in copies(style, photograph)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("photograph", "style", "share"),
    [
        (LIGHT_ABOVE, layout(22, 60, top=0.7, bottom=0.2), 1.0),
        (LIGHT_ABOVE, DARK_ABOVE, 0.5),
        (LIGHT_ABOVE, ASIDE, 0.5),
        (LIGHT_ABOVE, torch.full((1, 3, 9, 9), 0.4), 0.5),
    ],
    ids=["alike", "upside down", "on its side", "plain"],
)
def test_upright(photograph: Tensor, style: Tensor, share: float) -> None:
    assert upright_share(photograph, style) == share


def test_layers_count_as_far_as_they_have_positions() -> None:
    """At 64 px relu3_1 has 256 positions, relu4_1 64, relu5_1 16."""
    found = by_positions(EQUAL, (64, 64))
    assert sum(found.values()) == pytest.approx(1)
    assert found["relu1_1"] == found["relu3_1"] == pytest.approx(0.2 / (3 + 1 / 4 + 1 / 16) * 5)
    assert found["relu4_1"] == pytest.approx(found["relu1_1"] / 4)
    assert found["relu5_1"] == pytest.approx(found["relu1_1"] / 16)
    assert by_positions(EQUAL, (256, 256)) == pytest.approx(EQUAL)
    assert by_positions({"relu5_1": 0.0}, (64, 64)) == {"relu5_1": 0.0}


def test_the_mean_of_the_copies_does_not_know_up_from_down(tiny: Extractor) -> None:
    """The loss of a picture and of its mirror image are one, where they are not for the painting alone."""
    generator = torch.Generator().manual_seed(3)
    photograph, picture = torch.rand(2, 1, 3, 32, 32, generator=generator)
    painting = layout(32, 32, top=0.2, bottom=0.6)
    wanted = objective(tiny, photograph, [painting], content_weight=0.0)
    even = objective(tiny, photograph, [copy for copy, _ in copies(painting, ASIDE)], content_weight=0.0)
    upside_down = [picture, picture.flip(-2)]
    alone, turned = (wanted(image)[1].total for image in upside_down)
    mean, mean_turned = (even(image)[1].total for image in upside_down)
    assert alone != pytest.approx(turned, rel=1e-4)
    # Mirrored kernels would be needed for more.
    assert abs(mean - mean_turned) < abs(alone - turned)
