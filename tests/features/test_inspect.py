from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.errors import ImpastoError
from impasto.features.compact import Compact
from impasto.features.extractor import Extractor
from impasto.features.inspect import (
    Peak,
    ReceptiveField,
    activity,
    most_active,
    peaks,
    receptive_field,
    saliency,
    spread,
)
from impasto.features.sheet import channel_sheet, features_sheet
from impasto.features.vgg19 import VGG19

#: Worked out by hand: each 3 x 3 convolution adds two strides, each pooling one and doubles the stride.
VGG19_FIELDS = {
    "relu1_1": (3, 1),
    "relu1_2": (5, 1),
    "relu2_1": (10, 2),
    "relu2_2": (14, 2),
    "relu3_1": (24, 4),
    "relu3_2": (32, 4),
    "relu3_3": (40, 4),
    "relu3_4": (48, 4),
    "relu4_1": (68, 8),
    "relu4_2": (84, 8),
    "relu4_3": (100, 8),
    "relu4_4": (116, 8),
    "relu5_1": (156, 16),
    "relu5_2": (188, 16),
    "relu5_3": (220, 16),
    "relu5_4": (252, 16),
}


@pytest.fixture(scope="module")
def vgg19() -> VGG19:
    """Untrained: its geometry is the trained one's."""
    torch.manual_seed(0)
    return VGG19()


class Chain(Extractor):
    """One layer, made of what a test hands in."""

    name = "chain"
    layers = ("relu1_1",)

    def __init__(self, *operations: Any) -> None:
        super().__init__()
        self.operations = operations

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        for operation in self.operations:
            image = operation(image)
        return {"relu1_1": image}

    def smallest_side(self, layers: Sequence[str]) -> int:
        return 32


class TestReceptiveField:
    @pytest.mark.parametrize(("layer", "known"), VGG19_FIELDS.items())
    def test_vgg19(self, vgg19: VGG19, layer: str, known: tuple[int, int]) -> None:
        field = receptive_field(vgg19, layer)
        assert (field.size, field.stride) == known
        # Paddings on both sides: the first square reaches as far out of the picture as the grid of values needs.
        assert field.start == (field.stride - field.size) / 2

    def test_average_pooling_has_the_same(self, vgg19: VGG19) -> None:
        for layer in ("relu2_1", "relu5_1"):
            assert receptive_field(VGG19("avg"), layer) == receptive_field(vgg19, layer)

    @pytest.mark.parametrize("layer", ["relu2_1", "relu4_1"])
    def test_is_exactly_what_a_value_depends_on(self, layer: str) -> None:
        # All weights positive and average pooling: every pixel that can count does.
        extractor = VGG19("avg")
        for parameter in extractor.parameters():
            parameter.data.fill_(0.01)
        field = receptive_field(extractor, layer)
        image = torch.rand(1, 3, 96, 112, dtype=torch.float64, requires_grad=True)
        row, column = (96 // field.stride // 2, 112 // field.stride // 2)
        value = extractor.double()(image, [layer])[layer][0, 0, row, column]
        (gradient,) = torch.autograd.grad(value, image)
        touched = gradient[0].abs().sum(0).nonzero()
        (top, left), (bottom, right) = touched.amin(0).tolist(), touched.amax(0).tolist()
        assert (left, top, right + 1, bottom + 1) == field.box(row, column)

    def test_nothing_outside_of_it_counts(self, tiny: Extractor) -> None:
        field = receptive_field(tiny, "relu3_1")
        image = torch.rand(1, 3, 64, 64)
        left, top, right, bottom = field.box(8, 8)
        inside = torch.zeros(64, 64, dtype=torch.bool)
        inside[top:bottom, left:right] = True
        other = torch.where(inside, image, torch.rand(1, 3, 64, 64))
        same, different = (tiny(picture, ["relu3_1"])["relu3_1"][0, :, 8] for picture in (image, other))
        assert torch.allclose(same[:, 8], different[:, 8], atol=1e-6)
        assert not torch.allclose(same[:, 15], different[:, 15], atol=1e-6)

    def test_compact_grows_with_depth(self) -> None:
        extractor = Compact()
        fields = [receptive_field(extractor, layer) for layer in extractor.layers]
        assert [field.stride for field in fields] == [2 ** (int(layer[4]) - 1) for layer in extractor.layers]
        assert all(a.size < b.size for a, b in pairwise(fields))

    def test_strides_paddings_and_dilation(self) -> None:
        # 7 wide in steps of 2; then 3 wide, dilated to 5, every 2 pixels; then pooled over 3 values, every 4 pixels.
        chain = Chain(
            nn.Conv2d(3, 4, 7, stride=2, padding=3),
            nn.ReLU(),
            nn.Conv2d(4, 4, 3, padding=1, dilation=2),
            lambda maps: F.avg_pool2d(maps, 3, 2, 1),
        )
        assert receptive_field(chain, "relu1_1") == ReceptiveField(7 + 4 * 2 + 2 * 2, 4, -3 - 2 - 2)

    def test_ways_that_meet(self) -> None:
        wide, narrow = nn.Conv2d(3, 4, 5, padding=2), nn.Conv2d(3, 4, 1)
        assert receptive_field(Chain(lambda image: wide(image) + narrow(image)), "relu1_1") == ReceptiveField(5, 1, -2)

    @pytest.mark.parametrize(
        "operation",
        [
            nn.Upsample(scale_factor=2),
            nn.ConvTranspose2d(3, 3, 2, stride=2),
            nn.Conv2d(3, 3, (1, 3), padding=(0, 1)),
            nn.AdaptiveAvgPool2d(4),
        ],
        ids=["upsample", "transposed", "oblong", "adaptive"],
    )
    def test_what_cannot_be_followed_is_refused(self, operation: nn.Module) -> None:
        with pytest.raises(ValueError, match="the receptive field cannot be followed through"):
            receptive_field(Chain(operation), "relu1_1")

    def test_no_such_layer(self, tiny: Extractor) -> None:
        with pytest.raises(ImpastoError, match="relu3_2: the extractor 'tiny' has no such layer"):
            receptive_field(tiny, "relu3_2")

    def test_box(self) -> None:
        assert ReceptiveField(10, 2, -4).box(0, 0) == (-4, -4, 6, 6)
        assert ReceptiveField(10, 2, -4).box(3, 5) == (6, 2, 16, 12)


class TestMostActive:
    def test_known_order(self) -> None:
        maps = torch.stack([torch.full((2, 2), value) for value in (1.0, 5.0, -3.0, 5.0)])[None]
        maps[0, 0, 0, 0] = 9
        assert activity(maps).tolist() == [3, 5, 3, 5]
        assert most_active(maps, 3) == [(1, 5.0), (3, 5.0), (0, 3.0)]

    def test_never_more_than_there_are(self) -> None:
        assert [channel for channel, _ in most_active(torch.rand(1, 4, 3, 3), 9)] != []
        assert len(most_active(torch.rand(1, 4, 3, 3), 9)) == 4

    @given(st.integers(0, 1000), st.integers(1, 12))
    def test_none_left_out_is_stronger(self, seed: int, count: int) -> None:
        maps = torch.randn(1, 12, 3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        means = [float(maps[0, channel].abs().sum() / 12) for channel in range(12)]
        found = most_active(maps, count)
        assert [value for _, value in found] == pytest.approx(sorted(means, reverse=True)[:count])
        assert [means[channel] for channel, _ in found] == pytest.approx([value for _, value in found])


class TestPeaks:
    def test_known_places(self) -> None:
        values = torch.zeros(10, 10)
        values[2, 3], values[2, 4], values[8, 8] = 5, 4, 1
        field = ReceptiveField(8, 2, -3)
        # The second value is beside the first: what it sees is nearly the same.
        assert peaks(values, field, 5) == [Peak(2, 3, 5.0), Peak(8, 8, 1.0)]

    def test_small_fields_keep_a_distance_too(self) -> None:
        values = torch.zeros(24, 60)
        values[4, 10], values[4, 14], values[4, 15] = 5, 4, 3
        # A twelfth of 60 is 5.
        assert peaks(values, ReceptiveField(3, 1, -1), 5) == [Peak(4, 10, 5.0), Peak(4, 15, 3.0)]

    def test_no_answer_no_peak(self) -> None:
        assert peaks(torch.zeros(5, 5), ReceptiveField(), 3) == []
        assert peaks(torch.full((5, 5), -1.0), ReceptiveField(), 3) == []

    @given(st.integers(0, 1000), st.sampled_from([(3, 1), (10, 2), (24, 4), (68, 8), (156, 16)]))
    def test_strongest_first_and_at_most_half_in_common(self, seed: int, geometry: tuple[int, int]) -> None:
        values = torch.rand(12, 16, generator=torch.Generator().manual_seed(seed))
        before = values.clone()
        field = ReceptiveField(*geometry)
        found = peaks(values, field, 6)
        assert torch.equal(values, before)
        assert found[0].value == pytest.approx(float(values.max()))
        assert all(a.value >= b.value for a, b in pairwise(found))
        for index, one in enumerate(found):
            assert one.value == pytest.approx(float(values[one.row, one.column]))
            for other in found[:index]:
                apart = max(abs(one.row - other.row), abs(one.column - other.column)) * field.stride
                assert field.size - apart <= field.size / 2


class TestSaliency:
    def test_is_the_gradient_in_float64(self, tiny: Extractor) -> None:
        image = torch.rand(1, 3, 24, 24)
        place = Peak(2, 3, 0.0)
        found = saliency(tiny, image, "relu3_1", 4, [place])
        assert found.shape == (1, 24, 24)
        precise = type(tiny)().double()
        pixels = image.double().requires_grad_()
        (gradient,) = torch.autograd.grad(precise(pixels, ["relu3_1"])["relu3_1"][0, 4, 2, 3], pixels)
        assert torch.allclose(found[0].double(), gradient[0].abs().max(0).values, atol=1e-6)

    def test_a_linear_channel(self) -> None:
        kernel = torch.zeros(1, 3, 3, 3)
        kernel[0, 0, 0, 1], kernel[0, 2, 2, 2] = 0.5, -2.0
        chain = Chain(lambda image: F.conv2d(image, kernel, padding=1))
        found = saliency(chain, torch.rand(1, 3, 5, 5), "relu1_1", 0, [Peak(2, 2, 0.0), Peak(0, 0, 0.0)])
        expected = torch.zeros(2, 5, 5)
        expected[0, 1, 2], expected[0, 3, 3], expected[1, 1, 1] = 0.5, 2.0, 2.0
        assert torch.equal(found, expected)

    def test_stays_inside_of_the_receptive_field(self, tiny: Extractor) -> None:
        field = receptive_field(tiny, "relu2_1")
        image = torch.rand(1, 3, 32, 32)
        places = peaks(tiny(image, ["relu2_1"])["relu2_1"][0, 0], field, 4)
        assert places
        for place, gradient in zip(places, saliency(tiny, image, "relu2_1", 0, places), strict=True):
            left, top, right, bottom = field.box(place.row, place.column)
            assert gradient.max() > 0
            gradient[max(top, 0) : bottom, max(left, 0) : right] = 0
            assert gradient.max() == 0

    def test_no_places(self, tiny: Extractor) -> None:
        assert saliency(tiny, torch.rand(1, 3, 16, 16), "relu1_1", 0, []).numel() == 0

    def test_leaves_the_image_alone(self, tiny: Extractor) -> None:
        image = torch.rand(1, 3, 16, 16)
        before = image.clone()
        saliency(tiny, image, "relu1_1", 0, [Peak(3, 3, 0.0)])
        assert torch.equal(image, before)
        assert not image.requires_grad


class TestSpread:
    def test_a_value_lies_at_the_middle_of_its_field(self) -> None:
        values = torch.zeros(4, 6)
        values[1, 2] = 1
        field = ReceptiveField(10, 4, -2)
        laid = spread(values, field, (20, 28))
        # The middle of field 1, 2 is at -2 + 4.5 + 4 = 6.5 down and 10.5 across: between four pixels.
        assert laid.shape == (20, 28)
        assert int(laid.argmax()) in {6 * 28 + 10, 6 * 28 + 11, 7 * 28 + 10, 7 * 28 + 11}
        assert laid[6, 10] == pytest.approx((1 - 0.5 / 4) ** 2)
        assert laid[6, 6] == 0
        assert laid[2, 10] == 0

    def test_a_map_of_pixels_is_itself(self) -> None:
        values = torch.rand(5, 7)
        assert torch.allclose(spread(values, ReceptiveField(3, 1, -1), (5, 7)), values)

    def test_linear_in_between_and_the_edge_beyond(self) -> None:
        values = torch.arange(6.0).expand(2, 6)
        laid = spread(values, ReceptiveField(2, 2, 0), (5, 13))
        assert laid[0].tolist() == [max(0.0, min(5.0, (pixel - 0.5) / 2)) for pixel in range(13)]

    @given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.integers(1, 40))
    def test_within_the_values_bounds(self, h: int, w: int, height: int, width: int) -> None:
        values = torch.rand(h, w)
        laid = spread(values, ReceptiveField(24, 4, -10), (height, width))
        assert laid.shape == (height, width)
        assert values.min() - 1e-6 <= laid.min() <= laid.max() <= values.max() + 1e-6


class TestSheets:
    def test_more_channels_and_layers_more_sheet(self, tiny: Extractor, pair: tuple[Tensor, Tensor]) -> None:
        short = features_sheet(tiny, pair[0], ["relu1_1"], 3)
        long = features_sheet(tiny, pair[0], ["relu1_1", "relu3_1"], 3)
        assert short.mode == "RGB"
        assert long.width == short.width
        assert long.height > short.height + 100

    @pytest.mark.parametrize("shape", [(64, 20), (20, 64), (40, 40)])
    def test_margins_are_white(self, tiny: Extractor, shape: tuple[int, int]) -> None:
        image = torch.rand(1, 3, *shape)
        sheets = [features_sheet(tiny, image, ["relu1_1", "relu5_1"], 9), channel_sheet(tiny, image, "relu2_1", 3)]
        for sheet in sheets:
            for edge in (
                (0, 0, sheet.width, 24),
                (0, sheet.height - 24, sheet.width, sheet.height),
                (0, 0, 24, sheet.height),
                (sheet.width - 24, 0, sheet.width, sheet.height),
            ):
                assert sheet.crop(edge).getextrema() == ((255, 255),) * 3

    def test_the_channels_own_colors_are_on_the_sheet(self, tiny: Extractor, pair: tuple[Tensor, Tensor]) -> None:
        one, other = (channel_sheet(tiny, pair[0], "relu3_1", channel) for channel in (1, 2))
        assert one.tobytes() != other.tobytes()

    def test_the_sign_of_a_map_does_not_matter(self, pair: tuple[Tensor, Tensor]) -> None:
        plus, minus = Chain(lambda image: image), Chain(lambda image: -image)
        for draw in (
            lambda extractor: features_sheet(extractor, pair[0], ["relu1_1"], 3),
            lambda extractor: channel_sheet(extractor, pair[0], "relu1_1", 1),
        ):
            assert draw(plus).tobytes() == draw(minus).tobytes()

    def test_a_channel_that_never_answers(self, pair: tuple[Tensor, Tensor]) -> None:
        silent = Chain(lambda image: (image - 2).relu())
        sheet = channel_sheet(silent, pair[0], "relu1_1", 1)
        answering = channel_sheet(Chain(nn.ReLU()), pair[0], "relu1_1", 1)
        assert isinstance(sheet, Image.Image)
        assert sheet.height < answering.height - 100

    def test_a_channel_that_is_none(self, tiny: Extractor, pair: tuple[Tensor, Tensor]) -> None:
        with pytest.raises(ImpastoError, match=r"^channel: relu2_1 of 'tiny' has channels 0 to 7; 8 is none of them"):
            channel_sheet(tiny, pair[0], "relu2_1", 8)

    def test_a_picture_too_small(self, tiny: Extractor) -> None:
        with pytest.raises(ImpastoError, match=r"at 30 x 9 px nothing is left of the picture at relu5_1.*16 px"):
            features_sheet(tiny, torch.rand(1, 3, 9, 30), ["relu1_1", "relu5_1"], 4)
