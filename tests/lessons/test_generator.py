from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.lessons.generator import FaceGenerator, between, latents, sheet


@pytest.mark.parametrize(("side", "channels"), [(16, [4, 2, 3]), (64, [16, 8, 4, 2, 3]), (128, [16, 16, 8, 4, 2, 3])])
def test_layout(side: int, channels: list[int]) -> None:
    """Maps of 4 × 4 and up; channels double towards them, eight times at most."""
    torch.manual_seed(0)
    network = FaceGenerator(side, width=2, latent=8)
    convolutions = [layer for layer in network.layers if isinstance(layer, torch.nn.ConvTranspose2d)]
    assert [layer.out_channels for layer in convolutions] == channels
    faces = network.eval()(torch.randn(2, 8))
    assert faces.shape == (2, 3, side, side)
    assert faces.min() >= 0
    assert faces.max() <= 1


def test_it_begins_without_a_checkerboard() -> None:
    """An untrained generator enlarges smoothly: neighbors differ as much within blocks of two pixels as between."""
    torch.manual_seed(0)
    faces = FaceGenerator(32, width=4, latent=8)(torch.randn(16, 8))
    steps = (faces[..., 1:] - faces[..., :-1]).abs().mean(dim=(0, 1, 2))[2:-2]
    assert steps[::2].mean().item() == pytest.approx(steps[1::2].mean().item(), rel=0.3)


def test_file_and_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = FaceGenerator(16, 2, 8)
    network(torch.randn(4, 8))  # batch norm has seen something
    network.to_file(tmp_path / "one.safetensors")
    back = FaceGenerator.from_file(tmp_path / "one.safetensors")
    assert back.settings == network.settings
    assert not back.training
    assert torch.equal(back.paint(latents(3, 8, 0)), network.paint(latents(3, 8, 0)))
    assert network.training, "painting does not take the network out of training"
    back.to_file(tmp_path / "two.safetensors")
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


def test_the_way_to_the_hub_and_back(tmp_path: Path) -> None:
    network = FaceGenerator(16, 2, 8).eval()
    network.save_pretrained(tmp_path)
    back = FaceGenerator.from_pretrained(tmp_path)
    assert torch.equal(back.paint(latents(2, 8, 1)), network.paint(latents(2, 8, 1)))


def test_the_first_of_many_are_those_of_few() -> None:
    assert torch.equal(latents(20, 7, 3)[:5], latents(5, 7, 3))
    assert not torch.equal(latents(5, 7, 3), latents(5, 7, 4))
    many = latents(2000, 8, 0)
    assert many.mean().abs() < 0.03
    assert many.std().item() == pytest.approx(1, abs=0.03)


@given(seed=st.integers(0, 10_000), count=st.integers(2, 9))
@settings(max_examples=25, deadline=None)
def test_between_two_latents(seed: int, count: int) -> None:
    """Both ends are there, and of equally long ends every point between them is as long."""
    start, end = latents(2, 32, seed).double()
    end = end * start.norm() / end.norm()
    way = between(start, end, count)
    torch.testing.assert_close(way[0], start)
    torch.testing.assert_close(way[-1], end)
    torch.testing.assert_close(way.norm(dim=1), start.norm().expand(count))


def test_between_does_not_divide_by_zero() -> None:
    start = latents(1, 8, 0)[0]
    assert torch.isfinite(between(start, start, 5)).all()
    assert torch.isfinite(between(start, -start, 5)).all()


def test_sheet() -> None:
    faces = torch.stack([torch.full((3, 4, 4), value) for value in (0.1, 0.2, 0.3)])
    picture = sheet(faces, columns=2)
    assert picture.shape == (1, 3, 10, 10)
    assert [picture[0, 0, y, x].item() for y, x in ((3, 3), (3, 6), (6, 0))] == pytest.approx([0.1, 0.2, 0.3])
    assert (picture[:, :, 4:6] == 1).all(), "paper between the rows"
    assert (picture[:, :, 6:, 6:] == 1).all(), "and where no face is left"
    assert sheet(faces, columns=9).shape == (1, 3, 4, 16)
