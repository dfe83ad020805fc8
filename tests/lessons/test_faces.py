from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from impasto.configs import FacesConfig
from impasto.course import Course, Step
from impasto.errors import ImpastoError
from impasto.features import load_extractor
from impasto.features.extractor import Extractor
from impasto.lessons.celeba import CelebA
from impasto.lessons.drawn import draw_faces
from impasto.lessons.faces import (
    FacesResult,
    augment,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    rate,
    read_faces,
    spread,
    train,
)
from impasto.lessons.generator import FaceDiscriminator, FaceGenerator

SMALL = FacesConfig(steps=6, batch=4, side=16, width=2, latent=8, penalty_every=2, sample_every=4)


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return load_extractor("compact")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_faces(tmp_path_factory.mktemp("faces"), 20, 1, side=16)


@pytest.fixture(scope="module")
def data(folder: Path) -> CelebA:
    return read_faces(folder)


class TestData:
    def test_a_zip_and_folders_of_any_depth_hold_the_same_faces(
        self, folder: Path, data: CelebA, tmp_path: Path
    ) -> None:
        files = sorted((folder / "img_align_celeba").iterdir())
        with zipfile.ZipFile(tmp_path / "img_align_celeba.zip", "w") as archive:
            for file in files:
                archive.write(file, f"img_align_celeba/{file.name}")
        plain = tmp_path / "plain"
        for number, file in enumerate(files):
            place = plain / str(number // 10)
            place.mkdir(parents=True, exist_ok=True)
            (place / file.name).write_bytes(file.read_bytes())
        (plain / "notes.txt").write_text("no image")
        expected = data.load(16)
        for path in (tmp_path, tmp_path / "img_align_celeba.zip", plain, folder / "img_align_celeba"):
            found = read_faces(path)
            assert torch.equal(found.load(16), expected), path
            assert found.split == data.split
        assert data.rows("validation") == [4, 9, 14, 19], "every fifth is held back"

    def test_a_damaged_table_is_not_looked_at(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "img_align_celeba").symlink_to(folder / "img_align_celeba", target_is_directory=True)
        (tmp_path / "list_attr_celeba.csv").write_text("not a table")
        assert len(read_faces(tmp_path)) == 20

    def test_mistakes(self, tmp_path: Path) -> None:
        with pytest.raises(ImpastoError, match="0 JPEG or PNG files; 10 are the least"):
            read_faces(tmp_path)
        (tmp_path / "faces.zip").write_bytes(b"PK\3\4 cut")
        with pytest.raises(ImpastoError, match=r"faces\.zip: cut short, or no zip"):
            read_faces(tmp_path / "faces.zip")
        for number in range(10):
            (tmp_path / f"{number}.png").write_bytes(b"no image")
        with pytest.raises(ImpastoError, match=r"0\.png: damaged or no image"):
            train(SMALL, read_faces(tmp_path), load_extractor("compact"), tmp_path / "out.safetensors")


class TestLosses:
    def test_the_formulas(self) -> None:
        real, made = torch.tensor([2.0, -0.5]).double(), torch.tensor([-3.0, 0.5]).double()

        def chance(logit: Tensor) -> float:
            return 1 / (1 + math.exp(-float(logit)))

        expected = -sum(math.log(chance(x)) for x in real) / 2 - sum(math.log(1 - chance(x)) for x in made) / 2
        assert discriminator_loss(real, made).item() == pytest.approx(expected, rel=1e-12)
        assert generator_loss(made).item() == pytest.approx(-sum(math.log(chance(x)) for x in made) / 2, rel=1e-12)

    def test_where_the_discriminator_wins_the_generator_still_learns(self) -> None:
        logits = torch.tensor([-20.0], requires_grad=True)
        generator_loss(logits).backward()
        assert logits.grad is not None
        assert logits.grad.item() == pytest.approx(-1, abs=1e-6)

    def test_penalty_of_a_linear_discriminator_is_half_its_squared_norm(self) -> None:
        weights = torch.randn(3, 4, 4, dtype=torch.float64, requires_grad=True)
        penalty = gradient_penalty(lambda x: (x * weights).sum(dim=(1, 2, 3)), torch.rand(5, 3, 4, 4).double())  # type: ignore[arg-type]
        assert penalty.item() == pytest.approx(weights.square().sum().item() / 2, rel=1e-12)
        penalty.backward()
        assert weights.grad is not None
        torch.testing.assert_close(weights.grad, weights.detach())

    def test_penalty_by_differences(self) -> None:
        """The derivative of the penalty by one weight, against the slope of the penalty itself, in float64."""
        torch.manual_seed(0)
        network, shown = FaceDiscriminator(16, 2).double(), torch.rand(3, 3, 16, 16).double()
        gradient_penalty(network, shown).backward()
        weight = network.blocks[1].convolution.weight  # type: ignore[union-attr]
        values = []
        for nudge in (1e-6, -2e-6):
            with torch.no_grad():
                weight[0, 1, 2, 3] += nudge
            values.append(gradient_penalty(network, shown).item())
        slope = (values[0] - values[1]) / 2e-6
        assert weight.grad[0, 1, 2, 3].item() == pytest.approx(slope, rel=1e-4)


class TestAugment:
    def test_the_same_for_the_same_seed_and_with_a_gradient(self) -> None:
        batch = torch.rand(8, 3, 32, 32, requires_grad=True)
        one, two, other = (augment(batch, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
        assert torch.equal(one, two)
        assert not torch.equal(one, other)
        one.sum().backward()
        assert batch.grad is not None
        assert (batch.grad != 0).any(dim=1).float().mean() > 0.8

    def test_every_face_is_moved_and_changed_as_a_whole(self) -> None:
        """Found again by trying all moves: a gain of a quarter at most, one brightness for all of its pixels."""
        batch = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        for face, shown in zip(batch, augment(batch, torch.Generator().manual_seed(1)), strict=True):
            found = []
            for down in range(-2, 3):
                for right in range(-2, 3):
                    moved = face.roll((-down, -right), (1, 2))[:, 2:-2, 2:-2].flatten()
                    there = shown[:, 2:-2, 2:-2].flatten()
                    gain = ((there - there.mean()) * (moved - moved.mean())).mean() / moved.var(correction=0)
                    if (there - there.mean() - gain * (moved - moved.mean())).abs().max() < 1e-4:
                        found.append(gain.item())
            assert len(found) == 1
            assert 0.75 <= found[0] <= 1.25


def test_the_rate_falls_from_the_middle_on() -> None:
    assert [rate(step, 8) for step in range(8)] == [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]


def test_what_is_measured_is_spread_over_all_faces() -> None:
    many = torch.arange(2000).view(-1, 1, 1, 1)
    assert torch.equal(spread(many).flatten(), torch.arange(0, 2000, 4))
    assert torch.equal(spread(many[:7]), many[:7])


def safe_weights(path: Path) -> bytes:
    return b"".join(tensor.numpy().tobytes() for _, tensor in sorted(load_file(path).items()))


class TestTraining:
    def test_it_learns(self, extractor: Extractor, tmp_path: Path) -> None:
        """Two hundred steps at 16 pixels, and the faces are less than half as far from real ones."""
        drawn = read_faces(draw_faces(tmp_path / "data", 300, 2, side=16))
        config = FacesConfig(steps=200, batch=16, side=16, width=8, sample_every=200)
        result = train(config, drawn, extractor, tmp_path / "out.safetensors")
        assert list(result.history) == [0, 200]
        assert result.distance < result.before / 2
        assert result.distance > result.floor

    @pytest.mark.parametrize("at", [1, 3, 4])
    def test_resumed_it_ends_in_the_same_bytes(
        self, data: CelebA, extractor: Extractor, tmp_path: Path, at: int
    ) -> None:
        """Cut within an epoch, before and after a measurement (an epoch has four steps)."""
        calm = train(SMALL, data, extractor, tmp_path / "calm.safetensors", samples=tmp_path / "calm")

        def interrupt(record: Step) -> None:
            if record.step == at + 1:
                raise KeyboardInterrupt

        resumed, checkpoint, folder = tmp_path / "resumed.safetensors", tmp_path / "run", tmp_path / "samples"

        def run(callback: Callable[[Step], None]) -> FacesResult:
            course = Course(checkpoint, seconds=0, callback=callback)
            return train(SMALL, data, extractor, resumed, samples=folder, course=course)

        with pytest.raises(KeyboardInterrupt):
            run(interrupt)
        assert not resumed.exists()
        torch.manual_seed(99)
        steps: list[int] = []
        result = run(lambda record: steps.append(record.step))
        assert steps == list(range(at + 1, 7))
        assert resumed.read_bytes() == (tmp_path / "calm.safetensors").read_bytes()
        assert result == calm
        names = ["sheet-000004.png", "sheet-000006.png", "strip-000004.png", "strip-000006.png"]
        assert sorted(file.name for file in folder.iterdir()) == names
        for name in names:
            assert (folder / name).read_bytes() == (tmp_path / "calm" / name).read_bytes()

    def test_another_seed_is_another_generator(self, data: CelebA, extractor: Extractor, tmp_path: Path) -> None:
        for seed in (0, 1):
            train(replace(SMALL, steps=1, seed=seed), data, extractor, tmp_path / f"{seed}.safetensors")
        one, other = (FaceGenerator.from_file(tmp_path / f"{seed}.safetensors") for seed in (0, 1))
        assert not torch.equal(one.paint(torch.ones(1, 8)), other.paint(torch.ones(1, 8)))

    def test_few_faces_are_augmented(self, data: CelebA, extractor: Extractor, tmp_path: Path) -> None:
        def trained(name: str, **changed: Any) -> bytes:
            lines: list[str] = []
            out = tmp_path / name
            train(replace(SMALL, steps=1, **changed), data, extractor, out, course=Course(log=lines.append))
            assert ("each a little changed" in lines[0]) == (name in ("few", "asked"))
            return safe_weights(out)

        few, asked = trained("few"), trained("asked", augment=True)
        many, refused = trained("many", few=5), trained("refused", augment=False)
        assert few == asked != many == refused

    def test_the_callback_ends_it(self, data: CelebA, extractor: Extractor, tmp_path: Path) -> None:
        out = tmp_path / "out.safetensors"
        result = train(SMALL, data, extractor, out, course=Course(callback=lambda record: record.step == 3))
        assert list(result.history) == [0, 3]
        assert result.distance == result.history[3]
        with safe_open(str(out), framework="pt") as file:
            assert json.loads(file.metadata()["impasto"])["steps"] == 3

    def test_checkpoints_that_do_not_fit(self, data: CelebA, extractor: Extractor, tmp_path: Path) -> None:
        checkpoint, out = tmp_path / "run", tmp_path / "out.safetensors"
        train(replace(SMALL, steps=1), data, extractor, out, course=Course(checkpoint))
        for config, faces, what in (
            (replace(SMALL, steps=1, seed=1), data, "settings"),
            (replace(SMALL, steps=1), replace(data, names=data.names[::-1]), "faces"),
        ):
            with pytest.raises(ImpastoError, match=f"run: made with other {what}; remove it"):
                train(config, faces, extractor, out, course=Course(checkpoint))
        checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
        with pytest.raises(ImpastoError, match="run: a damaged checkpoint"):
            train(replace(SMALL, steps=1), data, extractor, out, course=Course(checkpoint))

    def test_mistakes(self, data: CelebA, extractor: Extractor, tmp_path: Path) -> None:
        out = tmp_path / "out.safetensors"
        with pytest.raises(ImpastoError, match=r"step \d+: the loss is not a number; lower learning_rate"):
            train(replace(SMALL, learning_rate=1e30), data, extractor, out)
        assert not out.exists()


def test_the_card(data: CelebA, extractor: Extractor, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    result = train(replace(SMALL, steps=2), data, extractor, out)
    with safe_open(str(out), framework="pt") as file:
        card = json.loads(file.metadata()["impasto"])
    assert card["settings"] == {"side": 16, "width": 2, "latent": 8}
    assert (card["config"]["steps"], card["steps"], card["faces"], card["extractor"]) == (2, 2, 16, "compact")
    assert card["distance"] == pytest.approx(result.distance, abs=1e-5)
    assert card["floor"] == pytest.approx(result.floor, abs=1e-5)


def test_real_faces_are_read_as_they_are(tmp_path: Path) -> None:
    """The central square, as for the attributes."""
    for number in range(10):
        pixels = np.zeros((28, 20, 3), np.uint8)
        pixels[4:24] = 10 * number
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    loaded = read_faces(tmp_path).load(16)
    assert [face.unique().tolist() for face in loaded] == [[10 * number] for number in range(10)]


def test_the_discriminator_is_made_of_the_critics_blocks() -> None:
    from impasto.networks.discriminator import DownBlock

    network = FaceDiscriminator(64, 2)
    assert [type(block) for block in network.blocks] == [DownBlock] * 4
    assert not any(nn.utils.parametrize.is_parametrized(part) for part in network.modules())
    assert network(torch.rand(3, 3, 64, 64)).shape == (3,)


def test_a_file_that_holds_something_else(tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    with pytest.raises(ImpastoError, match="is not a generator of faces; give a file of 'impasto train faces'"):
        FaceGenerator.from_file(other)
    with pytest.raises(ImpastoError, match=r"gone\.safetensors: cannot be read \(No such file or directory\)"):
        FaceGenerator.from_file(tmp_path / "gone.safetensors")
    whole = tmp_path / "whole.safetensors"
    FaceGenerator(16, 2, 8).to_file(whole)
    whole.write_bytes(whole.read_bytes()[:-50])
    with pytest.raises(ImpastoError, match="cannot be read as a generator of faces"):
        FaceGenerator.from_file(whole)
