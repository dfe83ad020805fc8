from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from impasto.errors import ImpastoError
from impasto.files.cards import pack
from impasto.files.shipped import shipped
from impasto.networks.autoencoder import AutoEncoder, blend_codes
from impasto.networks.layers import MULTIPLE
from impasto.networks.moments import moments

BOTH = pytest.mark.parametrize("residual", [False, True])


def small(residual: bool = True, *, trained: bool = True) -> AutoEncoder:
    """A narrow network; ``trained`` gives it a last convolution that changes something."""
    torch.manual_seed(0)
    network = AutoEncoder(residual, widths=(6, 8, 8, 10, 10), depths=(1, 1, 1, 1, 1), shared=8, hints=16).eval()
    if trained:
        nn.init.normal_(network.last.kernel.weight)
        nn.init.normal_(network.last.bias, std=0.1)
    return network


def picture(height: int, width: int, seed: int = 0, low: float = 0.3, high: float = 0.7) -> Tensor:
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    tint = torch.rand(1, 3, 1, 1, generator=torch.Generator().manual_seed(seed + 99))
    return low + (high - low) * (0.6 * noise + 0.4 * tint)


@BOTH
@pytest.mark.parametrize("size", [(48, 64), (33, 50), (16, 16), (5, 7)])
@torch.no_grad()
def test_any_size_comes_out_as_it_went_in(residual: bool, size: tuple[int, int]) -> None:
    output = small(residual)(picture(*size), picture(40, 24, seed=1))
    assert output.shape == (1, 3, *size)
    assert output.min() >= 0
    assert output.max() <= 1


@torch.no_grad()
def test_untrained_it_returns_the_content_in_the_styles_colors() -> None:
    content, style = picture(48, 64), picture(32, 48, seed=1, low=0.35, high=0.65)
    found, wanted = moments(small(trained=False)(content, style)), moments(style)
    torch.testing.assert_close(found.mean, wanted.mean, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.covariance, wanted.covariance, rtol=0.03, atol=1e-5)


@torch.no_grad()
def test_a_grayish_content_gets_the_color_of_a_colorful_style() -> None:
    gray = picture(48, 64).mean(1, keepdim=True)
    content = gray + 0.1 * (picture(48, 64, seed=3) - 0.5)
    found = moments(small(trained=False)(content, picture(32, 48, seed=1, low=0.35, high=0.65)))
    wanted = moments(picture(32, 48, seed=1, low=0.35, high=0.65))
    spread = [(part.covariance[0, 0, 0] - part.covariance[0, 0, 1]).item() for part in (found, wanted)]
    assert spread[0] == pytest.approx(spread[1], rel=0.3)


@torch.no_grad()
def test_the_plain_one_starts_from_its_coarse_representation() -> None:
    content, style = picture(48, 64), picture(32, 48, seed=1)
    output = small(residual=False, trained=False)(content, style)
    torch.testing.assert_close(output.mean(dim=(2, 3)), style.mean(dim=(2, 3)), rtol=0, atol=0.01)
    assert output.diff(dim=3).abs().mean() < 0.2 * content.diff(dim=3).abs().mean(), "detail does not get past the code"


@torch.no_grad()
def test_strength_zero_returns_the_content() -> None:
    content, style = picture(33, 50), picture(40, 24, seed=1)
    torch.testing.assert_close(small()(content, style, 0.0), content, rtol=0, atol=1e-4)


@BOTH
@torch.no_grad()
def test_strength_leads_from_the_one_to_the_other(residual: bool) -> None:
    network, content, style = small(residual), picture(48, 64), picture(40, 24, seed=1)
    code = network.encode_style(style)
    ends = [network.paint(content, code, strength) for strength in (0.0, 1.0)]
    between = network.paint(content, code, torch.tensor(0.5))
    distance = (ends[0] - ends[1]).norm()
    assert (between - ends[0]).norm() < distance
    assert (between - ends[1]).norm() < distance
    # Halfway is what the codes halfway give.
    halfway = blend_codes(network.encode_style(content), code, 0.5)
    if not residual:
        torch.testing.assert_close(network.paint(content, halfway), between)


@BOTH
@torch.no_grad()
def test_a_flat_content_stays_flat_but_for_the_grain(residual: bool) -> None:
    """Every pixel is made the same way, at the border too: no checkerboard and no frame."""
    flat = torch.tensor([0.2, 0.5, 0.7]).view(1, 3, 1, 1).expand(1, 3, 64, 48)
    network, style = small(residual), picture(40, 24, seed=1)
    grained = network(flat, style)
    network.noise.zero_()
    output = network(flat, style)
    assert (output - output[:, :, :1, :1]).abs().max() < 1e-4
    assert (output - flat).abs().max() > 0.02, "the network did something"
    assert grained.flatten(2).std(2).min() > 3e-3, "strokes need something to begin with"


@torch.no_grad()
def test_the_style_decides_how_much_grain() -> None:
    flat, network = torch.full((1, 3, 64, 48), 0.5), small()
    one, other = (network(flat, picture(40, 24, seed=seed)).flatten(2).std(2).mean() for seed in (1, 2))
    assert (one / other).log().abs() > 0.01


@BOTH
@torch.no_grad()
def test_tiles_show_no_seam(residual: bool) -> None:
    """A tile with its margin, painted with the whole picture's code, is the same part of the whole."""
    network = small(residual)
    content, style = picture(32, 416, low=0.1, high=0.9), network.encode_style(picture(64, 48, seed=1))
    own = network.encode_style(content)
    whole = network.paint(content, style, content_code=own)
    torch.testing.assert_close(network.paint(content, style), whole)
    margin, left = network.margin, 160
    assert margin % MULTIPLE == 0
    assert left - margin > 0, "the tile does not reach the border"
    tile = content[..., left - margin : left + 64 + margin]
    wanted = whole[..., left : left + 64]
    painted = network.paint(tile, style, content_code=own, corner=(0, left - margin))[..., margin : margin + 64]
    torch.testing.assert_close(painted, wanted, rtol=0, atol=1e-4)
    elsewhere = network.paint(tile, style, content_code=own)[..., margin : margin + 64]
    assert (elsewhere - wanted).abs().max() > 1e-3, "so is the grain"
    alone = network.paint(tile, style, corner=(0, left - margin))[..., margin : margin + 64]
    assert (alone - wanted).abs().max() > 1e-3, "the code is what tiles have to share"


@torch.no_grad()
def test_the_margin_is_as_wide_as_it_has_to_be() -> None:
    network = AutoEncoder(widths=(4, 4, 4, 4, 4), depths=(1, 1, 1, 1, 1), shared=4, hints=4).eval()
    # By scale: half-size convolution, second look, one block, enlargement; and the first and last convolutions.
    reach = 2 + (0 + 0 + 2 + 0) + (1 + 0 + 4 + 2) + (2 + 4 + 8 + 4) + (4 + 8 + 16 + 8) + (8 + 16 + 32 + 16)
    assert network.margin - MULTIPLE < reach <= network.margin


@BOTH
@torch.no_grad()
def test_pairs_of_a_batch_do_not_meet(residual: bool) -> None:
    network = small(residual)
    contents = torch.cat([picture(32, 48), picture(32, 48, seed=1)])
    styles = torch.cat([picture(48, 32, seed=2), picture(48, 32, seed=3)])
    both = network(contents, styles)
    torch.testing.assert_close(both[1:], network(contents[1:], styles[1:]), rtol=0, atol=1e-5)
    assert (both[1:] - network(contents[1:], styles[:1])).abs().max() > 1e-3, "the style matters"


@BOTH
def test_everything_learns(residual: bool) -> None:
    network = small(residual).train()
    network(picture(48, 64), picture(40, 24, seed=1)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_pictures_of_one_color_have_gradients() -> None:
    network = small().train()
    network(torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)).sum().backward()
    for name, parameter in network.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name  # type: ignore[arg-type]


def test_a_pixel_outside_finds_its_way_back() -> None:
    """In training, what was clamped feels only what pulls it inside."""
    network = small(trained=False).train()
    bias = network.last.bias
    with torch.no_grad():
        bias.fill_(1.5)  # tanh 0.9 above a content around 0.5: all white.
    output = network(picture(32, 32), picture(32, 32))
    assert output.min() == 1
    output.sum().backward(retain_graph=True)
    pulled = bias.grad
    assert pulled is not None
    assert pulled.min() > 0, "a loss that wants less reaches the network"
    network.zero_grad()
    (-output).sum().backward()
    assert bias.grad is not None
    assert bias.grad.abs().max() == 0, "a loss that wants still more does not"


@torch.no_grad()
def test_mixed_precision_paints_the_same_picture() -> None:
    network, content, style = small(), picture(48, 64), picture(40, 24, seed=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(content, style)
    assert (output - network(content, style)).abs().max() < 0.05


def test_small_and_fast_enough() -> None:
    with FakeTensorMode(), torch.no_grad(), FlopCounterMode(display=False) as counter:  # Shapes only.
        network = AutoEncoder().eval()
        network(torch.empty(1, 3, 512, 512), torch.empty(1, 3, 512, 512))
    assert sum(parameter.numel() for parameter in network.parameters()) < 2.5e6
    assert counter.get_total_flops() < 35e9


class TestFile:
    @BOTH
    @torch.no_grad()
    def test_comes_back(self, residual: bool, tmp_path: Path) -> None:
        network = small(residual)
        network.to_file(tmp_path / "a.safetensors", {"scores": {"style_share": 0.2}})
        again = AutoEncoder.from_file(tmp_path / "a.safetensors")
        assert again.settings == network.settings
        assert not again.training
        content, style = picture(48, 64), picture(40, 24, seed=1)
        assert (again(content, style) - network(content, style)).abs().max() < 0.01
        with safe_open(str(tmp_path / "a.safetensors"), framework="pt") as file:
            assert json.loads(file.metadata()["impasto"])["scores"] == {"style_share": 0.2}
            assert file.get_tensor("stem.kernel.weight").dtype == torch.float16

    def test_the_same_network_gives_the_same_bytes(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            small().to_file(tmp_path / name, {"one": 1, "two": 2})
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_weights_that_fp16_cannot_hold(self, tmp_path: Path) -> None:
        network = small()
        with torch.no_grad():
            network.biases["4"][0] = 1e5
        with pytest.raises(ImpastoError, match=r"biases\.4: weights do not fit into fp16; train with a lower"):
            network.to_file(tmp_path / "a.safetensors")
        assert not list(tmp_path.iterdir())

    def test_other_files(self, tmp_path: Path) -> None:
        with pytest.raises(
            ImpastoError,
            match=r"compact\.safetensors: is not an auto-encoder; give a file of 'impasto train autoencoder'",
        ):
            AutoEncoder.from_file(shipped("compact"))
        small().to_file(tmp_path / "a.safetensors")
        (tmp_path / "cut.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes()[:-100])
        with pytest.raises(ImpastoError, match=r"cut\.safetensors: cannot be read as an auto-encoder; give an intact"):
            AutoEncoder.from_file(tmp_path / "cut.safetensors")
        with pytest.raises(ImpastoError, match=r"gone\.safetensors: cannot be read \(No such file or directory\)"):
            AutoEncoder.from_file(tmp_path / "gone.safetensors")

    def test_a_card_of_no_network(self, tmp_path: Path) -> None:
        network = small()
        network.settings = {**network.settings, "depths": [1]}
        network.to_file(tmp_path / "a.safetensors")
        with pytest.raises(ImpastoError, match=r"a\.safetensors: cannot be read as an auto-encoder"):
            AutoEncoder.from_file(tmp_path / "a.safetensors")

    @pytest.mark.parametrize(
        "change",
        [{"widths": [12_000] * 5}, {"widths": [4096] * 5, "shared": 4096}, {"depths": [10**9] * 5}, {"hints": 10**400}],
    )
    def test_a_card_that_claims_what_is_not_there(self, tmp_path: Path, change: dict[str, object]) -> None:
        path = tmp_path / "small.safetensors"
        path.write_bytes(pack({}, {"format": AutoEncoder.form, "settings": {**small().settings, **change}}))
        with pytest.raises(ImpastoError, match=r"small\.safetensors: cannot be read as an auto-encoder"):
            AutoEncoder.from_file(path)


@torch.no_grad()
def test_save_pretrained_and_from_pretrained(tmp_path: Path) -> None:
    network = small(residual=False)
    network.save_pretrained(tmp_path)
    again = AutoEncoder.from_pretrained(tmp_path).eval()
    assert again.settings == network.settings
    content, style = picture(32, 48), picture(40, 24, seed=1)
    assert torch.equal(again(content, style), network(content, style))
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "library_name: impasto" in card
    assert "license: mit" in card
