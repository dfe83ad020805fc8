from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import impasto
from impasto import ImpastoError, Painting, Progress, Recipe
from impasto.color import match_luminance, preserve_color
from impasto.images import resize, to_pil
from impasto.instant.models import find_model, load_painter
from impasto.instant.passes import TILE, encode, one_pass
from impasto.networks.autoencoder import AutoEncoder
from impasto.refine import optimizer
from impasto.refine.pyramid import fit

from .conftest import picture

Paint = Callable[..., Painting]


@pytest.fixture
def paint(model: Path, pair: tuple[Tensor, Tensor], tiny_file: str) -> Paint:
    def paint(method: str = "instant", styles: list[Tensor] | None = None, **settings) -> Painting:
        given = {"size": 64, "model": model, **settings}
        if method == "hybrid":
            given.setdefault("extractor", tiny_file)
        return impasto.stylize(pair[0], styles or pair[1], method=method, **given)

    return paint


class TestInstant:
    def test_what_comes_back(self, paint: Paint, model: Path, tmp_path: Path) -> None:
        painting = paint(size=96)
        assert painting.tensor.shape == (1, 3, 72, 96)
        assert painting.tensor.min() >= 0
        assert painting.tensor.max() <= 1
        assert painting.losses == []
        assert painting.seconds > 0
        assert torch.equal(painting.tensor, paint(size=96).tensor)
        painting.save(tmp_path / "out.png")
        recipe = Recipe.from_file(tmp_path / "out.png")
        assert recipe == painting.recipe.without_folders()
        assert recipe.extractor is None
        assert recipe.extractor_sha256 is None
        assert recipe.model is not None
        assert recipe.model.name == model.name
        assert recipe.settings == {
            "method": "instant",
            "size": 96,
            "strength": 1.0,
            "seed": 0,
            "style_weights": [1.0],
            "preserve_color": "none",
            "model": model.name,
            "runtime": "torch",
            "device": recipe.settings["device"],
        }
        assert recipe.settings["device"] != "auto"

    def test_size_zero_keeps_the_photographs_own(self, paint: Paint, pair: tuple[Tensor, Tensor]) -> None:
        assert paint(size=0).tensor.shape == pair[0].shape

    def test_strength(self, paint: Paint, pair: tuple[Tensor, Tensor]) -> None:
        distances = [(paint(strength=s).tensor - pair[0]).norm().item() for s in (0.0, 0.5, 1.0)]
        assert distances[0] < 0.01 * distances[2]
        assert distances[0] < distances[1] < distances[2]

    @pytest.mark.parametrize("method", ["instant", "hybrid"])
    def test_another_seed_makes_other_strokes(self, paint: Paint, method: str) -> None:
        given = {"steps": 1} if method == "hybrid" else {}
        first, again, other = (paint(method, seed=seed, **given) for seed in (0, 0, 7))
        assert torch.equal(first.tensor, again.tensor)
        assert (first.tensor - other.tensor).abs().mean() > 1e-3
        assert other.recipe.settings["seed"] == 7

    def test_several_styles(self, paint: Paint, pair: tuple[Tensor, Tensor]) -> None:
        styles = [pair[1], picture(50, 40)]
        alone = [paint(styles=[style]).tensor for style in styles]
        for weights, wanted in (((1, 0), alone[0]), ((0, 2), alone[1])):
            torch.testing.assert_close(paint(styles=styles, style_weights=weights).tensor, wanted, rtol=0, atol=1e-5)
        mixed, again = (paint(styles=styles, style_weights=weights) for weights in ((0.5, 0.5), (3, 3)))
        assert torch.equal(mixed.tensor, again.tensor)
        assert again.recipe.settings["style_weights"] == [0.5, 0.5]
        assert all((mixed.tensor - one).abs().max() > 0.01 for one in alone)

    def test_luminance_keeps_the_photographs_chroma(self, pair: tuple[Tensor, Tensor], model: Path) -> None:
        gray = pair[0].mean(1, keepdim=True).expand_as(pair[0])
        given = {"method": "instant", "model": model, "size": 64}
        painted = impasto.stylize(gray, pair[1], preserve_color="luminance", **given).tensor
        assert (painted.amax(1) - painted.amin(1)).max() < 1e-4
        assert (painted - gray).abs().max() > 0.05, "its light and dark did not stay"

    def test_histogram_recolors_the_painting(self, paint: Paint, pair: tuple[Tensor, Tensor], tmp_path: Path) -> None:
        AutoEncoder().to_file(tmp_path / "new.safetensors")  # Untrained, it gives the content the painting's colors.
        wanted, given = pair[0].mean(dim=(2, 3)), {"model": tmp_path / "new.safetensors"}
        kept, free = (paint(preserve_color=how, **given).tensor.mean(dim=(2, 3)) for how in ("histogram", "none"))
        assert (kept - wanted).norm() < 0.1 * (free - wanted).norm()

    def test_alpha_comes_back(self, pair: tuple[Tensor, Tensor], model: Path) -> None:
        content = to_pil(pair[0])
        content.putalpha(128)
        painting = impasto.stylize(content, pair[1], method="instant", model=model, size=32)
        assert painting.image.mode == "RGBA"

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"strength": 1.5}, "strength: 1.5 is out of range; give a number from 0 to 1"),
            ({"strength": float("nan")}, "strength: nan is out of range"),
            ({"size": -1}, "size: -1 is out of range"),
            ({"runtime": "jax"}, "runtime: 'jax' is unknown; give torch or onnx"),
            ({"style_weights": (1.0, 2.0)}, "style_weights: 2 weights for 1 paintings"),
            (
                {"steps": 3},
                "steps: means nothing with method='instant'; leave it out, or take method='refine' or method='hybrid'",
            ),
            ({"seed": -1}, "seed: -1 is out of range"),
            ({"seed": 0.5}, "seed: 0.5 is out of range"),
            ({"colour": "red"}, "colour: no such setting; there are content_layers, content_weight"),
            ({"resume": True}, "resume: means nothing with method='instant', which takes no steps; leave it out"),
            ({"callback": print}, "callback: means nothing with method='instant'"),
            ({"checkpoint": "run"}, "checkpoint: means nothing with method='instant'"),
        ],
    )
    def test_mistakes(self, paint: Paint, settings: dict, message: str) -> None:
        with pytest.raises(ImpastoError) as caught:
            paint(**settings)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_no_such_method(self, paint: Paint) -> None:
        with pytest.raises(ImpastoError, match=r"^method: 'magic' is unknown; give refine, instant or hybrid$"):
            paint("magic")

    def test_a_network_means_nothing_to_the_refinement(self, pair: tuple[Tensor, Tensor]) -> None:
        with pytest.raises(ImpastoError, match=r"^model: means nothing with method='refine'; .* method='instant' or"):
            impasto.stylize(*pair, model="a.safetensors")


class TestHybrid:
    @pytest.mark.parametrize("runtime", ["torch", "onnx"])
    def test_begins_with_the_networks_picture(self, paint: Paint, pair: tuple[Tensor, Tensor], runtime: str) -> None:
        if runtime == "onnx":
            pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        first: list[Tensor] = []

        def callback(record: Progress) -> bool:
            first.append(record.image())
            return True

        paint("hybrid", callback=callback, steps=1, optimizer="adam", runtime=runtime)
        instant = paint().tensor
        assert (first[0] - instant).abs().max() <= optimizer.FIRST_RATE + 0.005
        assert (first[0] - pair[0]).abs().max() > 2 * optimizer.FIRST_RATE

    def test_what_comes_back(self, paint: Paint, model: Path) -> None:
        painting = paint("hybrid", size=128, steps=5)
        assert painting.tensor.shape == (1, 3, 96, 128)
        assert [record.step for record in painting.losses] == [1, 2, 3, 4, 5]
        recipe = painting.recipe
        assert (recipe.extractor, recipe.settings["method"]) == ("compact", "hybrid")
        assert recipe.model is not None
        assert recipe.model.name == recipe.settings["model"] == str(model)
        # Its settings, given again, are the same run.
        again = paint(**recipe.settings)
        assert again.recipe == recipe
        assert torch.equal(again.tensor, painting.tensor)

    @pytest.mark.parametrize("stop", [1, 4])
    def test_goes_on_in_the_same_bytes(self, paint: Paint, tmp_path: Path, stop: int) -> None:
        def interrupt(record: Progress) -> None:
            if record.step == stop:
                raise KeyboardInterrupt

        settings = {"size": 256, "steps": 6, "checkpoint": tmp_path / "run"}
        with pytest.raises(KeyboardInterrupt):
            paint("hybrid", callback=interrupt, **settings)
        resumed = paint("hybrid", resume=True, **settings)
        assert torch.equal(resumed.tensor, paint("hybrid", size=256, steps=6).tensor)

    def test_mistakes(self, paint: Paint) -> None:
        with pytest.raises(ImpastoError, match=r"^init: means nothing with method='hybrid'; .* method='refine'$"):
            paint("hybrid", init="noise")
        with pytest.raises(ImpastoError, match=r"^strength: 2 is out of range"):
            paint("hybrid", strength=2)


def test_luminance_in_tiles(model: Path) -> None:
    """A picture of several tiles, as a machine with enough memory would have painted it at once."""
    content, style = picture(1040, 1088), picture(20, 60, seed=1)
    painter, _ = load_painter(find_model(str(model)))
    assert content.shape[-1] * content.shape[-2] > (TILE + 2 * painter.margin) ** 2
    given = {"method": "instant", "model": model, "preserve_color": "luminance", "size": 0}
    tiled = impasto.stylize(content, style, **given).tensor
    code = encode(painter, fit(match_luminance(style, content), 1088))
    whole = preserve_color(one_pass(painter, content, code, tile=2048), content)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-3)
    assert resize(whole, (10, 10)).std() > 0.02
