from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import impasto
from impasto import ImpastoError, Painting, Progress
from impasto.files.checkpoint import DIGEST, write_sealed
from impasto.images import load_image, resize, save_image, to_pil
from impasto.job import Event, Notice, Planned
from impasto.paint import paint as paint_reporting
from impasto.refine import budget, optimizer, space
from impasto.refine.pyramid import plan
from impasto.settings import Settings, size_text

Stylize = Callable[..., Painting]


@pytest.fixture
def stylize(tiny_file: str) -> Stylize:
    """With the tiny extractor."""
    return partial(impasto.stylize, extractor=tiny_file)


@pytest.fixture
def paint(stylize: Stylize, pair: tuple[Tensor, Tensor]) -> Stylize:
    """The pair, in a few steps."""
    return partial(stylize, *pair, **{"size": 64, "steps": 12})


def interrupt(step: int) -> Callable[[Progress], None]:
    """A callback that interrupts the run after a step."""

    def callback(record: Progress) -> None:
        if record.step == step:
            raise KeyboardInterrupt

    return callback


def first_picture(paint: Stylize, **settings: Any) -> Tensor:
    """What the run has after its first step: what it begins with, but for at most FIRST_RATE."""
    found: list[Tensor] = []

    def callback(record: Progress) -> bool:
        found.append(record.image())
        return True

    paint(callback=callback, steps=1, optimizer="adam", **settings)
    return found[0]


#: How far a first step moves a pixel.
A_STEP = optimizer.FIRST_RATE + 1e-6


class TestTheResult:
    def test_what_comes_back(self, paint: Stylize) -> None:
        painting = paint()
        assert painting.tensor.shape == (1, 3, 48, 64)
        assert painting.tensor.min() >= 0
        assert painting.tensor.max() <= 1
        assert painting.alpha is None
        assert painting.image.size == (64, 48)
        assert [record.step for record in painting.losses] == list(range(1, 13))
        assert {record.steps for record in painting.losses} == {12}
        assert painting.seconds == painting.losses[-1].seconds > 0
        assert painting.recipe.settings["steps"] == 12
        assert painting.recipe.extractor == "compact"

    def test_every_step_tells_its_losses_by_name(self, paint: Stylize) -> None:
        for record in paint(steps=3, tv_weight=0.5).losses:
            assert list(record.losses) == ["content", "style", "total variation"]
            parts = record.losses
            total = 1e-3 * 100 * parts["content"] + parts["style"] + 0.5 * parts["total variation"]
            assert record.total_loss == pytest.approx(total, rel=1e-5)
        assert list(paint(steps=1).losses[0].losses) == ["content", "style"]

    def test_the_losses_fall(self, paint: Stylize) -> None:
        for algorithm in ("adam", "lbfgs"):
            losses = paint(steps=40, optimizer=algorithm).losses
            assert losses[-1].total_loss < 0.3 * losses[0].total_loss, algorithm

    def test_paths_pil_images_tensors_and_arrays_give_the_same_picture(
        self, stylize: Stylize, pair: tuple[Tensor, Tensor], tmp_path: Path
    ) -> None:
        content, style = (to_pil(image) for image in pair)
        content.save(tmp_path / "content.png")
        style.save(tmp_path / "style.png")
        brief = {"size": 64, "steps": 4}
        from_paths = stylize(tmp_path / "content.png", str(tmp_path / "style.png"), **brief)
        from_pil = stylize(content, [style], **brief)
        tensors = [load_image(image).tensor for image in (content, style)]
        from_tensors = stylize(tensors[0][0], tensors[1], **brief)
        bytes_of = [np.asarray(image) for image in (content, style)]
        from_bytes = stylize(bytes_of[0], [bytes_of[1]], **brief)
        from_floats = stylize(tensors[0][0].permute(1, 2, 0).numpy(), tensors[1][0].permute(1, 2, 0).numpy(), **brief)
        for other in (from_pil, from_tensors, from_bytes, from_floats):
            assert torch.equal(other.tensor, from_paths.tensor)
            assert other.recipe.content.name == ""
            assert other.recipe.content.sha256 == from_pil.recipe.content.sha256
        assert from_paths.recipe.content.name == str(tmp_path / "content.png")

    def test_size_zero_keeps_the_photographs_own(self, paint: Stylize, pair: tuple[Tensor, Tensor]) -> None:
        assert paint(size=0, steps=1).tensor.shape == pair[0].shape
        assert paint(size=0, steps=1).recipe.settings["size"] == 64
        assert paint(size=96, steps=1).tensor.shape == (1, 3, 72, 96)

    def test_alpha_comes_back(self, stylize: Stylize, pair: tuple[Tensor, Tensor]) -> None:
        content = to_pil(pair[0])
        content.putalpha(Image.linear_gradient("L").resize(content.size))
        painting = stylize(content, pair[1], size=32, steps=1)
        assert painting.image.mode == "RGBA"
        assert painting.alpha is not None
        assert painting.alpha.shape == (1, 1, 24, 32)
        assert painting.alpha[..., 0, :].mean() < 0.1 < 0.9 < painting.alpha[..., -1, :].mean()

    @pytest.mark.parametrize("settings", [{"init": "noise"}, {"init": "style"}, {"optimizer": "adam"}, {}])
    def test_gray_stays_gray(self, stylize: Stylize, pair: tuple[Tensor, Tensor], settings: dict[str, Any]) -> None:
        """To the last bit; and not only if photograph or painting alone is gray."""
        gray = [picture.mean(1, keepdim=True).expand_as(picture) for picture in pair]
        painted = stylize(*gray, size=64, steps=6, **settings)
        planes = np.asarray(painted.image)
        assert (planes == planes[..., :1]).all()
        assert (resize(gray[0], (48, 64)) - painted.tensor).abs().max() > 0.02
        for content, style in ((gray[0], pair[1]), (pair[0], gray[1])):
            colored = stylize(content, style, size=64, steps=6, **settings).tensor
            assert (colored.amax(1) - colored.amin(1)).max() > 0.02

    def test_gray_stays_gray_in_one_pass(self, pair: tuple[Tensor, Tensor]) -> None:
        gray = [picture.mean(1, keepdim=True).expand_as(picture) for picture in pair]
        planes = np.asarray(impasto.stylize(*gray, size=64, method="instant").image)
        assert (planes == planes[..., :1]).all()

    def test_a_transparent_margin_is_not_painted(self, stylize: Stylize, pair: tuple[Tensor, Tensor]) -> None:
        """The loss is that of the painting without it."""
        content, style = pair
        framed = torch.ones(1, 4, 64, 64)
        framed[:, :3, :, :40], framed[:, 3:, :, 40:] = style, 0
        plain, shown, blind = (
            stylize(content, painting, size=64, steps=1).losses[0].losses["style"]
            for painting in (style, to_pil(framed[:, :3], framed[:, 3:]), framed[:, :3])
        )
        assert abs(shown - plain) < 0.3 * abs(blind - plain)

    def test_one_pass_knows_what_is_transparent(self, pair: tuple[Tensor, Tensor]) -> None:
        content, style = pair
        alpha = torch.ones(1, 1, 64, 40)
        alpha[..., 20:] = 0
        shown = to_pil(style, alpha)
        over = load_image(shown).tensor
        paint = partial(impasto.stylize, content, size=64, method="instant")
        assert not torch.equal(paint(shown).tensor, paint(over).tensor)

    def test_the_recipe_travels_in_the_file(self, paint: Stylize, tmp_path: Path) -> None:
        painting = paint(steps=2)
        painting.save(tmp_path / "out.png")
        assert impasto.Recipe.from_file(tmp_path / "out.png") == painting.recipe.without_folders()
        assert painting.image.info["impasto"] == painting.recipe.without_folders().to_json()
        painting.save(tmp_path / "bare.png", recipe=False)
        with pytest.raises(ImpastoError, match="carries no recipe"):
            impasto.Recipe.from_file(tmp_path / "bare.png")
        with pytest.raises(ImpastoError, match="give force to replace it"):
            painting.save(tmp_path / "out.png")

    def test_the_recipes_settings_are_the_same_run(self, stylize: Stylize, pair: tuple[Tensor, Tensor]) -> None:
        painting = stylize(*pair, size=64, content_weight=1e-4, preserve_color="histogram")
        again = impasto.stylize(*pair, **painting.recipe.settings)
        assert again.recipe == painting.recipe
        assert torch.equal(again.tensor, painting.tensor)


class TestTheKnobs:
    def test_more_content_weight_keeps_more_of_the_content(self, paint: Stylize) -> None:
        losses = [paint(steps=60, content_weight=weight).losses[-1].losses for weight in (1e-5, 1e-3, 1e-1)]
        assert losses[0]["content"] > losses[1]["content"] > losses[2]["content"]
        assert losses[0]["style"] < losses[1]["style"] < losses[2]["style"]

    @pytest.mark.parametrize(
        ("settings", "detail"),
        [
            ({"content_weight": 1e-2}, 1.0),
            ({"content_weight": 1e-3}, 1.0),
            ({"content_weight": 1e-4}, 0.5),
            ({"content_weight": 1e-5}, 0.0),
            ({"content_weight": 0.0}, 0.0),
            ({"content_weight": 1e-5, "detail": 0.3}, 0.3),
            ({"init": "noise"}, 0.0),
        ],
    )
    def test_the_photographs_detail_follows_its_weight(self, paint: Stylize, settings: dict, detail: float) -> None:
        assert paint(steps=1, **settings).recipe.settings["detail"] == pytest.approx(detail)

    def test_same_seed_same_bytes(self, paint: Stylize) -> None:
        pictures = [paint(init="noise", seed=seed, steps=5).tensor for seed in (3, 3, 4)]
        assert torch.equal(pictures[0], pictures[1])
        assert not torch.equal(pictures[0], pictures[2])

    def test_what_the_run_begins_with(self, paint: Stylize, pair: tuple[Tensor, Tensor], tmp_path: Path) -> None:
        start = tmp_path / "start.png"
        save_image(start, torch.full((1, 3, 10, 10), 0.25))
        assert (first_picture(paint, init="content") - pair[0]).abs().max() <= A_STEP
        assert (first_picture(paint, init=str(start)) - 64 / 255).abs().max() <= A_STEP
        assert (first_picture(paint, init=start) - 64 / 255).abs().max() <= A_STEP
        assert (first_picture(paint, init="style") - resize(pair[1], (48, 64))).abs().max() <= A_STEP

    def test_a_picture_in_memory_to_begin_with(self, paint: Stylize, pair: tuple[Tensor, Tensor]) -> None:
        given = to_pil(pair[0].flip(-1))
        tensor = load_image(given).tensor
        kinds = {
            "PIL": given,
            "tensor": tensor,
            "tensor without a batch": tensor[0],
            "bytes": np.asarray(given),
            "floats": tensor[0].permute(1, 2, 0).numpy(),
        }
        paintings = {kind: paint(init=picture, steps=3) for kind, picture in kinds.items()}
        for kind, picture in kinds.items():
            painting = paintings[kind]
            assert torch.equal(painting.tensor, paintings["PIL"].tensor), kind
            assert painting.recipe == paintings["PIL"].recipe, kind
            assert (first_picture(paint, init=picture) - tensor).abs().max() <= A_STEP, kind
        recipe = paintings["PIL"].recipe
        assert recipe.init_image is not None
        assert recipe.init_image.name == ""
        assert len(recipe.init_image.sha256) == 64
        assert recipe.settings["detail"] == 0

    @pytest.mark.parametrize(
        ("picture", "message"),
        [
            (torch.zeros(5, 8, 8), r"^init: a tensor of shape \(5, 8, 8\); give \(1, 3, height, width\)$"),
            (np.zeros((8, 8)), r"^init: an array of shape \(8, 8\); give \(height, width, 3\)$"),
            (3.5, r"^init: float is no picture; give a path, bytes, an open file, a PIL image, a tensor or an array$"),
        ],
    )
    def test_no_picture_to_begin_with(self, paint: Stylize, picture: object, message: str) -> None:
        with pytest.raises(ImpastoError, match=message):
            paint(init=picture)

    def test_none_to_begin_with_is_the_default(self, paint: Stylize) -> None:
        assert paint(steps=1, init=None).recipe == paint(steps=1).recipe

    def test_luminance_keeps_the_photographs_chroma(self, stylize: Stylize, pair: tuple[Tensor, Tensor]) -> None:
        gray = pair[0].mean(1, keepdim=True).expand_as(pair[0])
        painted = stylize(gray, pair[1], size=64, steps=8, preserve_color="luminance").tensor
        assert (painted.amax(1) - painted.amin(1)).max() < 1e-4

    def test_style_weights_are_normalized(self, stylize: Stylize, pair: tuple[Tensor, Tensor]) -> None:
        content, style = pair
        one, two = (
            stylize(content, [style, content], size=32, steps=3, style_weights=weights)
            for weights in ((0.7, 0.3), np.array([7.0, 3.0]))
        )
        assert torch.allclose(one.tensor, two.tensor, atol=1e-5)
        assert two.recipe.settings["style_weights"] == pytest.approx([0.7, 0.3])


class TestTheCallback:
    def test_hears_of_every_step_and_may_stop_the_run(self, paint: Stylize) -> None:
        heard: list[Progress] = []

        def callback(record: Progress) -> bool:
            heard.append(record)
            assert record.image().shape[1] == 3
            return record.step == 5

        painting = paint(callback=callback)
        assert [record.step for record in heard] == [1, 2, 3, 4, 5]
        assert painting.losses == heard
        assert painting.tensor.shape == (1, 3, 48, 64)

    def test_stopped_at_a_coarse_scale_it_still_has_the_size_asked_for(self, paint: Stylize) -> None:
        painting = paint(size=256, callback=lambda record: True)
        assert painting.losses[-1].scale == 64
        assert painting.tensor.shape == (1, 3, 192, 256)

    def test_a_history_keeps_no_pictures(self, paint: Stylize) -> None:
        with pytest.raises(ImpastoError, match="during the callback only"):
            paint().losses[0].image()

    def test_events_in_order(self, pair: tuple[Tensor, Tensor], tiny_file: str) -> None:
        heard: list[Event] = []
        settings = Settings.check({"size": 128, "steps": 6, "extractor": tiny_file})
        painting = paint_reporting(*pair, settings, report=heard.append)
        planned, *steps = heard
        assert planned == Planned(tuple((scale.longest, scale.steps) for scale in plan(128, 6)))
        assert steps == painting.losses

    def test_notices_come_first(
        self, pair: tuple[Tensor, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
        heard: list[Event] = []
        painting = paint_reporting(*pair, Settings(size=64, steps=1), report=heard.append)
        assert [event.name for event in heard] == ["notice", "planned", "progress"]
        assert isinstance(heard[0], Notice)
        assert painting.notices == (heard[0].text,)
        assert painting.notices[0].startswith("VGG-19's weights are not on this machine, so the compact extractor")
        assert painting.recipe.settings["extractor"] == "compact"


class TestResume:
    @pytest.mark.parametrize("algorithm", ["adam", "lbfgs"])
    @pytest.mark.parametrize("stop", [3, 6, 7, 11])
    def test_same_bytes_as_an_undisturbed_run(self, paint: Stylize, tmp_path: Path, algorithm: str, stop: int) -> None:
        settings = {"size": 256, "optimizer": algorithm}
        undisturbed = paint(**settings)
        checkpoint = tmp_path / "run"
        with pytest.raises(KeyboardInterrupt):
            paint(**settings, callback=interrupt(stop), checkpoint=checkpoint)
        assert checkpoint.is_file()
        heard: list[int] = []
        resumed = paint(
            **settings, checkpoint=checkpoint, resume=True, callback=lambda record: heard.append(record.step)
        )
        assert heard == list(range(stop + 1, 13))
        assert torch.equal(resumed.tensor, undisturbed.tensor)
        assert [r.total_loss for r in resumed.losses] == [r.total_loss for r in undisturbed.losses]
        assert [r.losses for r in resumed.losses] == [r.losses for r in undisturbed.losses]
        assert resumed.recipe == undisturbed.recipe

    def test_with_other_settings(self, paint: Stylize, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            paint(callback=interrupt(1), checkpoint=tmp_path / "run")
        with pytest.raises(ImpastoError, match="belongs to a run with other images, settings, versions or threads"):
            paint(content_weight=0.5, checkpoint=tmp_path / "run", resume=True)

    def test_work_is_not_thrown_away(self, paint: Stylize, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            paint(callback=interrupt(1), checkpoint=tmp_path / "run")
        kept = (tmp_path / "run").read_bytes()
        with pytest.raises(ImpastoError, match="is there from a run cut short; add resume to go on, or remove it"):
            paint(checkpoint=tmp_path / "run")
        assert (tmp_path / "run").read_bytes() == kept

    @pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
    def test_it_is_one_runs_at_a_time(self, paint: Stylize, tmp_path: Path) -> None:
        def meddle(record: Progress) -> None:
            with pytest.raises(ImpastoError, match="run: another run is writing it; wait for it, or name another file"):
                paint(checkpoint=tmp_path / "run", resume=True)

        paint(steps=1, callback=meddle, checkpoint=tmp_path / "run")
        assert list(tmp_path.glob(".impasto*")) == []

    def test_of_a_picture_of_another_size(self, paint: Stylize, tmp_path: Path) -> None:
        """As somebody might make it, with a digest that is right."""
        with pytest.raises(KeyboardInterrupt):
            paint(callback=interrupt(1), checkpoint=tmp_path / "run")
        data = (tmp_path / "run").read_bytes()[:-DIGEST]
        height, width = re.search(rb'"image": .*?\[1, 3, (\d+), (\d+)\]', data).groups()  # type: ignore[union-attr]
        turned = data.replace(b"[1, 3, %s, %s]" % (height, width), b"[1, 3, %s, %s]" % (width, height))
        assert turned != data
        write_sealed(tmp_path / "run", [turned])
        with pytest.raises(ImpastoError, match="run: a damaged checkpoint; remove it to begin anew"):
            paint(checkpoint=tmp_path / "run", resume=True)


class TestMaxMemory:
    """With a budget in which scales from 128 px up are refined in tiles of 64 px, their vectors on the disk."""

    LIMIT = budget.BASE + 20 * 2**20

    @pytest.fixture(autouse=True)
    def small_tiles(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(budget, "LARGEST", 64)

    @pytest.fixture
    def paint(self, stylize: Stylize, pair: tuple[Tensor, Tensor]) -> Stylize:
        return partial(stylize, *pair, **{"size": 256, "steps": 12, "precision": "fp32", "max_memory": self.LIMIT})

    @pytest.mark.parametrize("algorithm", ["adam", "lbfgs"])
    def test_almost_the_picture_of_a_machine_with_enough(
        self, paint: Stylize, monkeypatch: pytest.MonkeyPatch, algorithm: str
    ) -> None:
        monkeypatch.setattr(type(space.ON_DISK), "history", space.HISTORY)
        whole = paint(max_memory=None, optimizer=algorithm)
        tiled = paint(optimizer=algorithm)
        assert not torch.equal(tiled.tensor, whole.tensor), "else nothing was tiled"
        assert (tiled.tensor - whole.tensor).abs().mean() < 2e-3
        assert tiled.losses[-1].total_loss == pytest.approx(whole.losses[-1].total_loss, rel=1e-2)

    def test_the_recipe_keeps_it_where_it_matters(self, paint: Stylize, pair: tuple[Tensor, Tensor]) -> None:
        limits = (None, "1G", size_text(self.LIMIT))
        whole, enough, tiled = (paint(steps=2, max_memory=limit) for limit in limits)
        assert tiled.recipe.settings["max_memory"] == self.LIMIT
        assert "max_memory" not in whole.recipe.settings
        assert enough.recipe == whole.recipe
        assert torch.equal(enough.tensor, whole.tensor)
        again = impasto.stylize(*pair, **tiled.recipe.settings)
        assert again.recipe == tiled.recipe
        assert torch.equal(again.tensor, tiled.tensor)

    @pytest.mark.parametrize("algorithm", ["adam", "lbfgs"])
    @pytest.mark.parametrize("stop", [6, 7, 9, 11])
    def test_resumed_it_ends_in_the_same_bytes(self, paint: Stylize, tmp_path: Path, algorithm: str, stop: int) -> None:
        undisturbed = paint(optimizer=algorithm)
        with pytest.raises(KeyboardInterrupt):
            paint(optimizer=algorithm, callback=interrupt(stop), checkpoint=tmp_path / "run")
        resumed = paint(optimizer=algorithm, checkpoint=tmp_path / "run", resume=True)
        assert torch.equal(resumed.tensor, undisturbed.tensor)
        assert [r.total_loss for r in resumed.losses] == [r.total_loss for r in undisturbed.losses]

    @pytest.mark.parametrize(("mode", "size"), [("luminance", 400), ("histogram", 256)])
    def test_colors_are_kept(self, stylize: Stylize, pair: tuple[Tensor, Tensor], mode: str, size: int) -> None:
        """Of a photograph larger than the copy that colors are taken from, in a picture of several strips of rows."""
        gray = resize(pair[0].mean(1, keepdim=True).expand_as(pair[0]), (1575, 2100))
        limit = self.LIMIT + gray.numel() * 4
        painted = stylize(gray, pair[1], size=size, steps=4, preserve_color=mode, max_memory=limit)
        assert painted.recipe.settings["max_memory"] == limit, "else nothing was tiled"
        assert painted.tensor.shape == (1, 3, size * 3 // 4, size)
        chroma = (painted.tensor.amax(1) - painted.tensor.amin(1)).mean()
        assert chroma < (1e-4 if mode == "luminance" else 0.1)

    def test_the_photograph_is_left_alone(self, stylize: Stylize, pair: tuple[Tensor, Tensor]) -> None:
        """A run that begins with it, at its own size, on the only scale there is."""
        content = resize(pair[0], (192, 256))
        before = content.clone()
        stylize(content, pair[1], size=0, steps=1, max_memory=self.LIMIT)
        assert torch.equal(content, before)

    def test_large_paintings_are_reduced_first(self, paint: Stylize, pair: tuple[Tensor, Tensor]) -> None:
        large = resize(pair[1], (640, 400))
        painting = impasto.stylize(pair[0], large, **{**paint.keywords, "steps": 3})  # type: ignore[attr-defined]
        assert painting.losses[-1].total_loss > 0

    def test_without_one_the_machine_sets_it(self, paint: Stylize, monkeypatch: pytest.MonkeyPatch) -> None:
        given = paint(steps=2)
        memories: Iterator[float | None] = iter([self.LIMIT / budget.MEMORY + 1, None])
        monkeypatch.setattr(budget, "machine_memory", lambda: next(memories))
        painting = paint(steps=2, max_memory=None)
        assert painting.recipe == given.recipe
        assert torch.equal(painting.tensor, given.tensor)
        assert given.notices == ()
        assert painting.notices == (
            "256 pixels take more memory than this machine has at once: refined in tiles, as with a limit of 180M",
        )
        assert "max_memory" not in paint(steps=2, max_memory=None).recipe.settings

    def test_too_little(self, paint: Stylize) -> None:
        with pytest.raises(
            ImpastoError,
            match=r"^max_memory: 1M is too little for 256 × 192 px; give \d+M or more, or a smaller size$",
        ):
            paint(max_memory="1M")

    @pytest.mark.parametrize("limit", ["much", "2X", 0, -1])
    def test_no_amount(self, paint: Stylize, limit: object) -> None:
        with pytest.raises(ImpastoError, match=r"is no amount of memory; write for example 2G, 1\.5G or 500M"):
            paint(max_memory=limit)


class TestMistakes:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"size": -1}, "size: -1 is out of range; give a whole number from 0 to 100000"),
            ({"steps": 0}, "steps: 0 is out of range; give a whole number from 1 to 1000000"),
            ({"detail": 1.5}, "detail: 1.5 is out of range; give a number from 0 to 1"),
            ({"content_weight": -1.0}, "content_weight: -1.0 is out of range; give a number from 0 up"),
            ({"content_weight": float("nan")}, "content_weight: nan is out of range"),
            ({"optimizer": "sgd"}, "optimizer: 'sgd' is unknown; give lbfgs or adam"),
            ({"preserve_color": "hue"}, "preserve_color: 'hue' is unknown; give none, luminance or histogram"),
            ({"style_weights": (1.0, 2.0)}, "style_weights: 2 weights for 1 paintings"),
            ({"style_weights": (0.0,)}, "style_weights: all are 0"),
            ({"style_layers": {"relu9_1": 1.0}}, "style_layers: 'relu9_1' is no layer; write for example relu4_2"),
            ({"style_layers": {"relu3_4": 1.0}}, "relu3_4: the extractor 'compact' has no such layer"),
            ({"colour": "red"}, "colour: no such setting"),
            ({"init": "nowhere.png"}, "nowhere.png"),
            ({"device": "tpu"}, "device: 'tpu' is unknown"),
            ({"max_pixels": 100}, "content: 64 x 48 pixels are more than the limit of 100"),
        ],
    )
    def test_each_names_the_setting(self, paint: Stylize, settings: dict, message: str) -> None:
        with pytest.raises(ImpastoError) as caught:
            paint(**settings)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_no_style(self, stylize: Stylize, pair: tuple[Tensor, Tensor]) -> None:
        with pytest.raises(ImpastoError, match="give at least one painting"):
            stylize(pair[0], [])

    def test_a_photograph_too_narrow(self, stylize: Stylize, pair: tuple[Tensor, Tensor]) -> None:
        narrow = pair[0][:, :, :2]
        with pytest.raises(
            ImpastoError, match=r"64 × 2 px leaves the shorter side under 16 px at size=64; give 5\d\d or more$"
        ):
            stylize(narrow, pair[1], size=64)

    def test_a_loss_that_is_not_a_number(self, paint: Stylize) -> None:
        with pytest.raises(ImpastoError, match=r"step 1: the loss is .*; take precision='fp32', or a smaller"):
            paint(normalization="gatys", content_weight=1e38, style_layers={"relu1_1": 1e38}, init="noise")
