from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

import impasto
from impasto import painting as module
from impasto.errors import ImpastoError
from impasto.features.compact import Compact
from impasto.images import save_image, to_pil
from impasto.painting import Progress, stylize
from impasto.refine import budget, descend, optimizer, space


@pytest.fixture(autouse=True)
def use_tiny(monkeypatch: pytest.MonkeyPatch, tiny) -> None:
    """Paint with the tiny extractor."""
    monkeypatch.setattr(module, "load_extractor", lambda name, device, pooling: tiny)


def paint(pair: tuple[Tensor, Tensor], **settings):
    return stylize(*pair, **{"size": 64, "steps": 12, **settings})


class TestTheResult:
    def test_what_comes_back(self, pair: tuple[Tensor, Tensor]) -> None:
        painting = paint(pair)
        assert painting.tensor.shape == (1, 3, 48, 64)
        assert painting.tensor.min() >= 0
        assert painting.tensor.max() <= 1
        assert painting.alpha is None
        assert painting.image.size == (64, 48)
        assert [record.step for record in painting.losses] == list(range(1, 13))
        assert {record.steps for record in painting.losses} == {12}
        assert painting.recipe.settings["steps"] == 12
        assert painting.recipe.extractor == "tiny"

    def test_the_losses_fall(self, pair: tuple[Tensor, Tensor]) -> None:
        for optimizer_name in ("adam", "lbfgs"):
            losses = paint(pair, steps=40, optimizer=optimizer_name).losses
            assert losses[-1].total_loss < 0.3 * losses[0].total_loss, optimizer_name

    def test_paths_pil_images_and_tensors_give_the_same_picture(
        self, pair: tuple[Tensor, Tensor], tmp_path: Path
    ) -> None:
        content, style = (to_pil(image) for image in pair)
        content.save(tmp_path / "content.png")
        style.save(tmp_path / "style.png")
        from_paths = stylize(tmp_path / "content.png", str(tmp_path / "style.png"), size=64, steps=4)
        from_pil = stylize(content, [style], size=64, steps=4)
        tensors = [impasto.images.load_image(image).tensor for image in (content, style)]
        from_tensors = stylize(tensors[0][0], tensors[1], size=64, steps=4)
        assert torch.equal(from_paths.tensor, from_pil.tensor)
        assert torch.equal(from_paths.tensor, from_tensors.tensor)
        assert from_paths.recipe.content.name == str(tmp_path / "content.png")
        assert from_pil.recipe.content.name == ""

    def test_size_zero_keeps_the_photographs_own(self, pair: tuple[Tensor, Tensor]) -> None:
        assert paint(pair, size=0, steps=1).tensor.shape == pair[0].shape
        assert paint(pair, size=96, steps=1).tensor.shape == (1, 3, 72, 96)

    def test_alpha_comes_back(self, pair: tuple[Tensor, Tensor]) -> None:
        content = to_pil(pair[0])
        content.putalpha(Image.linear_gradient("L").resize(content.size))
        painting = stylize(content, pair[1], size=32, steps=1)
        assert painting.image.mode == "RGBA"
        assert painting.alpha is not None
        assert painting.alpha.shape == (1, 1, 24, 32)
        assert painting.alpha[..., 0, :].mean() < 0.1 < 0.9 < painting.alpha[..., -1, :].mean()

    def test_the_recipe_travels_in_the_file(self, pair: tuple[Tensor, Tensor], tmp_path: Path) -> None:
        painting = paint(pair, steps=2)
        painting.save(tmp_path / "out.png")
        assert impasto.Recipe.from_file(tmp_path / "out.png") == painting.recipe
        with pytest.raises(ImpastoError, match="--force"):
            painting.save(tmp_path / "out.png")


class TestTheKnobs:
    def test_more_content_weight_keeps_more_of_the_content(self, pair: tuple[Tensor, Tensor]) -> None:
        records = [paint(pair, steps=60, content_weight=weight).losses[-1] for weight in (1e-5, 1e-3, 1e-1)]
        assert records[0].content_loss > records[1].content_loss > records[2].content_loss
        assert records[0].style_loss < records[1].style_loss < records[2].style_loss

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
    def test_the_photographs_detail_follows_its_weight(
        self, pair: tuple[Tensor, Tensor], settings: dict, detail: float
    ) -> None:
        assert paint(pair, steps=1, **settings).recipe.settings["detail"] == pytest.approx(detail)

    def test_same_seed_same_bytes(self, pair: tuple[Tensor, Tensor]) -> None:
        pictures = [paint(pair, init="noise", seed=seed, steps=5).tensor for seed in (3, 3, 4)]
        assert torch.equal(pictures[0], pictures[1])
        assert not torch.equal(pictures[0], pictures[2])

    def test_what_the_run_begins_with(self, pair: tuple[Tensor, Tensor], tmp_path: Path) -> None:
        save_image(tmp_path / "start.png", torch.full((1, 3, 10, 10), 0.25))
        first: dict[str, Tensor] = {}

        def keep(name: str):
            def callback(record: Progress) -> bool:
                first[name] = record.image()
                return True

            return callback

        for init in ("content", "style", str(tmp_path / "start.png")):
            paint(pair, init=init, callback=keep(init), size=64, steps=1, optimizer="adam")
        steps_wide = optimizer.FIRST_RATE + 1e-6
        assert (first["content"] - pair[0]).abs().max() <= steps_wide
        assert (first[str(tmp_path / "start.png")] - 64 / 255).abs().max() <= steps_wide
        assert (first["style"] - impasto.images.resize(pair[1], (48, 64))).abs().max() <= steps_wide

    def test_luminance_keeps_the_photographs_chroma(self, pair: tuple[Tensor, Tensor]) -> None:
        gray = pair[0].mean(1, keepdim=True).expand_as(pair[0])
        painted = stylize(gray, pair[1], size=64, steps=8, preserve_color="luminance").tensor
        assert (painted.amax(1) - painted.amin(1)).max() < 1e-4

    def test_style_weights_are_normalized(self, pair: tuple[Tensor, Tensor]) -> None:
        content, style = pair
        one = stylize(content, [style, content], size=32, steps=3, style_weights=(0.7, 0.3))
        two = stylize(content, [style, content], size=32, steps=3, style_weights=(7.0, 3.0))
        assert torch.allclose(one.tensor, two.tensor, atol=1e-5)
        assert two.recipe.settings["style_weights"] == pytest.approx([0.7, 0.3])


class TestTheCallback:
    def test_hears_of_every_step_and_may_stop_the_run(self, pair: tuple[Tensor, Tensor]) -> None:
        heard: list[Progress] = []

        def callback(record: Progress) -> bool:
            heard.append(record)
            assert record.image().shape[1] == 3
            return record.step == 5

        painting = paint(pair, callback=callback)
        assert [record.step for record in heard] == [1, 2, 3, 4, 5]
        assert painting.losses == heard
        assert painting.tensor.shape == (1, 3, 48, 64)

    def test_stopped_at_a_coarse_scale_it_still_has_the_size_asked_for(self, pair: tuple[Tensor, Tensor]) -> None:
        painting = paint(pair, size=256, callback=lambda record: True)
        assert painting.losses[-1].scale == 64
        assert painting.tensor.shape == (1, 3, 192, 256)

    def test_a_history_keeps_no_pictures(self, pair: tuple[Tensor, Tensor]) -> None:
        with pytest.raises(ImpastoError, match="during the callback only"):
            paint(pair).losses[0].image()


class TestResume:
    @pytest.mark.parametrize("algorithm", ["adam", "lbfgs"])
    @pytest.mark.parametrize("stop", [3, 6, 7, 11])
    def test_same_bytes_as_an_undisturbed_run(
        self, pair: tuple[Tensor, Tensor], tmp_path: Path, algorithm: str, stop: int
    ) -> None:
        settings = {"size": 256, "optimizer": algorithm}
        undisturbed = paint(pair, **settings)
        checkpoint = tmp_path / "run"

        def interrupt(record: Progress) -> None:
            if record.step == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            paint(pair, **settings, callback=interrupt, checkpoint=checkpoint)
        assert checkpoint.is_file()
        heard: list[int] = []
        resumed = paint(
            pair, **settings, checkpoint=checkpoint, resume=True, callback=lambda record: heard.append(record.step)
        )
        assert heard == list(range(stop + 1, 13))
        assert torch.equal(resumed.tensor, undisturbed.tensor)
        assert [r.total_loss for r in resumed.losses] == [r.total_loss for r in undisturbed.losses]
        assert resumed.recipe == undisturbed.recipe

    def test_with_other_settings(self, pair: tuple[Tensor, Tensor], tmp_path: Path) -> None:
        def interrupt(record: Progress) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            paint(pair, callback=interrupt, checkpoint=tmp_path / "run")
        with pytest.raises(ImpastoError, match="belongs to a run with other images, settings, versions or --threads"):
            paint(pair, content_weight=0.5, checkpoint=tmp_path / "run", resume=True)


class TestMaxMemory:
    """With a budget in which scales from 128 px up are refined in tiles of 64 px, their vectors on the disk."""

    LIMIT = 20 * 2**20

    @pytest.fixture(autouse=True)
    def narrow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        torch.manual_seed(0)
        layers = (("relu1_1", 6), ("relu2_1", 8), ("relu3_1", 8), ("relu4_1", 8), ("relu4_2", 8), ("relu5_1", 8))
        extractor = Compact(layers)
        monkeypatch.setattr(module, "load_extractor", lambda name, device, pooling: extractor)
        monkeypatch.setattr(budget, "BASE", 0)
        monkeypatch.setattr(budget, "LARGEST", 64)

    def paint(self, pair: tuple[Tensor, Tensor], **settings) -> impasto.Painting:
        return paint(pair, **{"size": 256, "max_memory": self.LIMIT, **settings})

    @pytest.mark.parametrize("algorithm", ["adam", "lbfgs"])
    def test_almost_the_picture_of_a_machine_with_enough(
        self, pair: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch, algorithm: str
    ) -> None:
        monkeypatch.setattr(space.Strips, "history", space.HISTORY)
        whole = self.paint(pair, max_memory=None, optimizer=algorithm)
        tiled = self.paint(pair, optimizer=algorithm)
        assert not torch.equal(tiled.tensor, whole.tensor), "else nothing was tiled"
        assert (tiled.tensor - whole.tensor).abs().mean() < 2e-3
        assert tiled.losses[-1].total_loss == pytest.approx(whole.losses[-1].total_loss, rel=1e-2)

    def test_the_recipe_keeps_it_where_it_matters(self, pair: tuple[Tensor, Tensor]) -> None:
        whole, enough, tiled = (self.paint(pair, steps=2, max_memory=limit) for limit in (None, "1G", "20M"))
        assert tiled.recipe.settings["max_memory"] == self.LIMIT
        assert "max_memory" not in whole.recipe.settings
        assert enough.recipe == whole.recipe
        assert torch.equal(enough.tensor, whole.tensor)
        again = stylize(*pair, **tiled.recipe.settings)
        assert again.recipe == tiled.recipe
        assert torch.equal(again.tensor, tiled.tensor)

    @pytest.mark.parametrize("algorithm", ["adam", "lbfgs"])
    @pytest.mark.parametrize("stop", [6, 7, 9, 11])
    def test_resumed_it_ends_in_the_same_bytes(
        self, pair: tuple[Tensor, Tensor], tmp_path: Path, algorithm: str, stop: int
    ) -> None:
        undisturbed = self.paint(pair, optimizer=algorithm)

        def interrupt(record: Progress) -> None:
            if record.step == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.paint(pair, optimizer=algorithm, callback=interrupt, checkpoint=tmp_path / "run")
        resumed = self.paint(pair, optimizer=algorithm, checkpoint=tmp_path / "run", resume=True)
        assert torch.equal(resumed.tensor, undisturbed.tensor)
        assert [r.total_loss for r in resumed.losses] == [r.total_loss for r in undisturbed.losses]

    @pytest.mark.parametrize("mode", ["luminance", "histogram"])
    def test_colors_are_kept(self, pair: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
        monkeypatch.setattr(module, "COLOR_SIZE", 32)
        monkeypatch.setattr(module, "COLOR_ROWS", 50)
        gray = pair[0].mean(1, keepdim=True).expand_as(pair[0])
        painted = stylize(gray, pair[1], size=256, steps=4, preserve_color=mode, max_memory="20M").tensor
        assert painted.shape == (1, 3, 192, 256)
        chroma = (painted.amax(1) - painted.amin(1)).mean()
        assert chroma < (1e-4 if mode == "luminance" else 0.1)

    def test_the_photograph_is_left_alone(self, pair: tuple[Tensor, Tensor]) -> None:
        """A run that begins with it, at its own size, on the only scale there is."""
        content = impasto.images.resize(pair[0], (192, 256))
        before = content.clone()
        stylize(content, pair[1], size=0, steps=1, max_memory="20M")
        assert torch.equal(content, before)

    def test_large_paintings_are_reduced_first(self, pair: tuple[Tensor, Tensor]) -> None:
        large = impasto.images.resize(pair[1], (640, 400))
        assert self.paint((pair[0], large), steps=3).losses[-1].total_loss > 0

    def test_without_one_the_machine_sets_it(
        self, pair: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = self.paint(pair, steps=2)
        monkeypatch.setattr(module, "machine_memory", lambda: self.LIMIT / module.MEMORY + 1)
        painting = self.paint(pair, steps=2, max_memory=None)
        assert painting.recipe == given.recipe
        assert torch.equal(painting.tensor, given.tensor)
        assert given.notices == ()
        assert painting.notices == (
            "--size 256 takes more memory than this machine has at once: refined in tiles, as with --max-memory 20M",
        )
        monkeypatch.setattr(module, "machine_memory", lambda: None)
        assert "max_memory" not in self.paint(pair, steps=2, max_memory=None).recipe.settings

    def test_too_little(self, pair: tuple[Tensor, Tensor]) -> None:
        with pytest.raises(
            ImpastoError,
            match=r"^--max-memory: 1M is too little for 256 × 192 px; give \d+M or more, or a smaller --size$",
        ):
            self.paint(pair, max_memory="1M")

    @pytest.mark.parametrize("limit", ["much", "2X", 0, -1])
    def test_no_amount(self, pair: tuple[Tensor, Tensor], limit: object) -> None:
        with pytest.raises(ImpastoError, match=r"is no amount of memory; write for example 2G, 1\.5G or 500M"):
            self.paint(pair, max_memory=limit)


def test_stopped_between_two_scales(
    pair: tuple[Tensor, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the checkpoint says then is one state, not half of each."""
    undisturbed = paint(pair, size=256)
    grown = optimizer.State.grown
    calls = 0

    def stopping(*arguments, **keywords):
        nonlocal calls
        calls += 1
        monkeypatch.setattr(descend.Objective, "__call__", interrupted)
        return grown(*arguments, **keywords)

    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        whole = descend.Objective.__call__
        patch.setattr(optimizer.State, "grown", stopping)
        with pytest.raises(KeyboardInterrupt):
            paint(pair, size=256, checkpoint=tmp_path / "run")
        monkeypatch.setattr(descend.Objective, "__call__", whole)
    assert calls == 1
    resumed = paint(pair, size=256, checkpoint=tmp_path / "run", resume=True)
    assert torch.equal(resumed.tensor, undisturbed.tensor)


class TestMistakes:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"size": -1}, "--size: -1 is out of range; give a whole number from 0 up"),
            ({"steps": 0}, "--steps: 0 is out of range"),
            ({"detail": 1.5}, "--detail: 1.5 is out of range; give a number from 0 to 1"),
            ({"content_weight": -1.0}, "--content-weight: -1.0 is out of range"),
            ({"content_weight": float("nan")}, "--content-weight: nan is out of range"),
            ({"optimizer": "sgd"}, "--optimizer: 'sgd' is unknown; give lbfgs or adam"),
            ({"preserve_color": "hue"}, "--preserve-color: 'hue' is unknown; give none, luminance or histogram"),
            ({"style_weights": (1.0, 2.0)}, "--style-weights: 2 weights for 1 paintings"),
            ({"style_weights": (0.0,)}, "--style-weights: all are 0"),
            ({"style_layers": {"relu9_1": 1.0}}, "relu9_1: the extractor 'tiny' has no such layer"),
            ({"colour": "red"}, "colour: no such setting"),
            ({"init": "nowhere.png"}, "nowhere.png"),
            ({"device": "tpu"}, "--device: 'tpu' is unknown"),
        ],
    )
    def test_each_names_the_setting(self, pair: tuple[Tensor, Tensor], settings: dict, message: str) -> None:
        with pytest.raises(ImpastoError) as caught:
            paint(pair, **settings)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_no_style(self, pair: tuple[Tensor, Tensor]) -> None:
        with pytest.raises(ImpastoError, match="give at least one painting"):
            stylize(pair[0], [])

    def test_a_photograph_too_narrow(self, pair: tuple[Tensor, Tensor]) -> None:
        narrow = pair[0][:, :, :2]
        with pytest.raises(
            ImpastoError, match=r"64 × 2 px leaves the shorter side under 16 px at --size 64; give --size 5\d\d"
        ):
            stylize(narrow, pair[1], size=64)

    def test_a_loss_that_is_not_a_number(self, pair: tuple[Tensor, Tensor]) -> None:
        with pytest.raises(ImpastoError, match=r"step 1: the loss is .*; use --precision fp32, or a smaller"):
            paint(pair, normalization="gatys", content_weight=1e38, style_layers={"relu1_1": 1e38}, init="noise")
