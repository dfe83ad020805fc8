from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.samples.canvas import Canvas, blur, colors, gradient, light, mix, smoothstep


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def test_the_area_is_one_unit() -> None:
    canvas = Canvas(50, 200)
    assert canvas.unit == pytest.approx(100)
    assert (canvas.right, canvas.bottom) == pytest.approx((2.0, 0.5))
    assert canvas.x.shape == (1, 200)
    assert canvas.y.shape == (50, 1)
    assert canvas.x[0, 0] == pytest.approx(0.005)
    assert canvas.y[-1, 0] == pytest.approx(0.495)


@pytest.mark.parametrize("octaves", [1, 3])
def test_noise_has_zero_mean_and_unit_deviation(octaves: int) -> None:
    noise = Canvas(256, 256).noise(rng(), 40, octaves)
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.1
    assert noise.std() == pytest.approx(1, abs=0.12)


def test_noise_is_the_same_field_at_another_size() -> None:
    large, small = (Canvas(size, size).noise(rng(), 6, 2) for size in (256, 64))
    assert np.abs(large.reshape(64, 4, 64, 4).mean((1, 3)) - small).max() < 0.05


def test_noise_takes_one_number_whatever_the_size() -> None:
    followers = []
    for size in (64, 512):
        generator = rng()
        Canvas(size, size).noise(generator, 300, 4)
        followers.append(generator.uniform())
    assert followers[0] == followers[1]


def test_noise_finer_than_the_pixels_fades() -> None:
    assert np.abs(Canvas(64, 64).noise(rng(), 100)).max() == 0


def test_stretched_noise_changes_slowly_along() -> None:
    noise = Canvas(256, 256).noise(rng(), 40, stretch=(8, 1))
    assert np.abs(np.diff(noise, axis=0)).mean() > 4 * np.abs(np.diff(noise, axis=1)).mean()


@given(st.floats(0.1, 0.9), st.floats(0.1, 0.9))
def test_sampling_a_plane_is_exact(x: float, y: float) -> None:
    canvas = Canvas(40, 40)
    plane = (2 * canvas.x - 3 * canvas.y).astype(np.float32)
    value = canvas.sample(plane, np.array([x], np.float32), np.array([y], np.float32))
    assert value[0] == pytest.approx(2 * x - 3 * y, abs=1e-5)


def test_sampling_beyond_the_border_repeats_it() -> None:
    canvas = Canvas(8, 8)
    field = np.broadcast_to(canvas.x, (8, 8)).astype(np.float32)
    ends = canvas.sample(field, np.array([-5, 5], np.float32), np.array([0.5, 0.5], np.float32))
    assert ends == pytest.approx([field[0, 0], field[0, -1]], abs=1e-3)


@pytest.mark.parametrize("sigma", [0.7, 2.0, 9.0])
def test_a_blurred_point_is_a_gaussian(sigma: float) -> None:
    image = np.zeros((121, 121), np.float32)
    image[60, 60] = 1
    spot = blur(image, sigma).astype(np.float64)
    assert spot.sum() == pytest.approx(1, abs=1e-4)
    offset = np.arange(121) - 60
    spread = np.sqrt((spot.sum(0) * offset**2).sum())
    assert spread == pytest.approx(sigma, rel=0.12)


@given(st.floats(0, 12), st.integers(9, 40), st.integers(9, 40))
@settings(max_examples=30)
def test_blur_keeps_an_even_image(sigma: float, height: int, width: int) -> None:
    image = np.full((height, width, 3), 0.3, np.float32)
    assert blur(image, sigma) == pytest.approx(image, abs=1e-5)


def test_smoothstep_either_way() -> None:
    values = np.array([-1, 0, 0.25, 0.5, 1, 2], np.float32)
    assert smoothstep(0, 1, values) == pytest.approx([0, 0, 0.15625, 0.5, 1, 1])
    assert smoothstep(1, 0, values) == pytest.approx([1, 1, 0.84375, 0.5, 0, 0])


def test_colors_and_their_gradient() -> None:
    stops = colors("#000000", "#ff0000", "#ff00ff")
    assert stops == pytest.approx(np.array([[0, 0, 0], [1, 0, 0], [1, 0, 1]]))
    row = gradient(stops, np.array([-1, 0.25, 0.5, 1, 3], np.float32))
    assert row == pytest.approx(np.array([[0, 0, 0], [0.5, 0, 0], [1, 0, 0], [1, 0, 1], [1, 0, 1]]), abs=2e-3)
    placed = gradient(stops, np.array([0.2], np.float32), (0.0, 0.2, 1.0))
    assert placed[0] == pytest.approx([1, 0, 0], abs=5e-3)


def test_mix_is_linear() -> None:
    mixed = mix(np.zeros((2, 3)), np.ones((2, 3)), np.array([0.25, 1.0]))
    assert mixed == pytest.approx(np.array([[0.25] * 3, [1.0] * 3]))


def test_light_comes_from_the_upper_left() -> None:
    color = np.full((20, 20, 3), 0.5, np.float32)
    assert light(color, np.full((20, 20), 7, np.float32), depth=1) == pytest.approx(color)
    row, column = np.mgrid[:20, :20].astype(np.float32)
    hill = 5 - np.hypot(row - 10, column - 10)
    lit = light(color, hill, depth=0.5)[..., 0]
    assert lit[6, 6] > 0.6
    assert lit[14, 14] < 0.4
