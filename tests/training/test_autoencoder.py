from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.features.extractor import STYLE_LAYERS, Extractor
from impasto.losses import RELATIVE_CONTENT_SCALE, content_loss, gram_matrix, style_loss
from impasto.networks.autoencoder import AutoEncoder
from impasto.networks.grain import PERIOD
from impasto.networks.layers import MULTIPLE
from impasto.training import autoencoder
from impasto.training.autoencoder import Step, TrainConfig, critic_path, draw_batches, list_pictures, rate, train
from impasto.training.data import list_images, read_images

pytest.importorskip("lightning_fabric")

CONFIG = TrainConfig(residual=True, steps=5, batch=2, side=32)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """contents/ smooth and dull, styles/ striped and colored, 21 each, so that one of each is held out."""
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    for name in ("contents", "styles"):
        (folder / name).mkdir()
        for index in range(21):
            if name == "contents":
                coarse = generator.integers(60, 200, (5, 5, 1), dtype=np.uint8).repeat(3, 2)
            else:
                coarse = generator.integers(0, 256, (24, 3, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC)
            picture.save(folder / name / f"{index:02}.png")
    return folder


@pytest.fixture(autouse=True)
def little_to_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoencoder, "JUDGED_PAIRS", 1)
    monkeypatch.setattr(autoencoder, "JUDGED_SIDE", 32)
    monkeypatch.setattr(autoencoder, "SHEET_PAIRS", 1)


def run(config: TrainConfig, data: Path, extractor: Extractor, out: Path, **keywords: Any) -> list[Step]:
    heard: list[Step] = []
    callback = keywords.pop("callback", lambda step: None)
    train(
        config,
        data / "contents",
        data / "styles",
        extractor,
        out,
        callback=lambda step: heard.append(step) or callback(step),  # type: ignore[func-returns-value]
        **keywords,
    )
    return heard


class TestLearning:
    @pytest.mark.parametrize("residual", [False, True])
    def test_the_loss_falls(self, data: Path, tiny: Extractor, tmp_path: Path, residual: bool) -> None:
        config = replace(CONFIG, residual=residual, steps=24, batch=4)
        heard = run(config, data, tiny, tmp_path / "out.safetensors")
        assert [step.step for step in heard] == list(range(1, 25))
        early, late = (sum(step.losses["total"] for step in part) for part in (heard[:6], heard[-6:]))
        assert late < 0.9 * early
        network = AutoEncoder.from_file(tmp_path / "out.safetensors")
        assert network.residual is residual

    def test_total_is_the_metric(self, data: Path, tiny: Extractor, tmp_path: Path) -> None:
        config = replace(CONFIG, steps=2, adversarial=True, content_weight=2e-3, adversarial_weight=0.3)
        for step in run(config, data, tiny, tmp_path / "out.safetensors"):
            losses = step.losses
            expected = (
                2e-3 * RELATIVE_CONTENT_SCALE * losses["content"] + losses["style"] + 0.3 * losses["discriminator"]
            )
            assert losses["total"] == pytest.approx(expected, rel=1e-5)
            assert losses["critic"] > 0

    def test_a_critic_of_no_weight_only_watches(self, data: Path, tiny: Extractor, tmp_path: Path) -> None:
        """β = 0 gives the network that is trained without a critic, and a critic of it."""
        run(CONFIG, data, tiny, tmp_path / "alone.safetensors")
        config = replace(CONFIG, adversarial=True, adversarial_weight=0.0)
        heard = run(config, data, tiny, tmp_path / "watched.safetensors")
        assert "discriminator" not in heard[0].losses
        alone, watched = (load_file(tmp_path / f"{name}.safetensors") for name in ("alone", "watched"))
        for name, tensor in alone.items():
            assert torch.equal(tensor, watched[name]), name
        assert critic_path(tmp_path / "watched.safetensors").is_file()
        assert not critic_path(tmp_path / "alone.safetensors").exists()

    def test_the_critic_changes_the_painter(self, data: Path, tiny: Extractor, tmp_path: Path) -> None:
        for name, weight in (("without", 0.0), ("with", 1.0)):
            config = replace(CONFIG, adversarial=True, adversarial_weight=weight)
            run(config, data, tiny, tmp_path / f"{name}.safetensors")
        names = ("without", "with")
        without, other = (load_file(tmp_path / f"{name}.safetensors") for name in names)
        assert not torch.equal(without["stem.kernel.weight"], other["stem.kernel.weight"])

    def test_mixed_precision(self, data: Path, tiny: Extractor, tmp_path: Path) -> None:
        config = replace(CONFIG, steps=2, precision="bf16", adversarial=True)
        mixed = run(config, data, tiny, tmp_path / "mixed.safetensors")
        full = run(replace(config, precision="fp32"), data, tiny, tmp_path / "full.safetensors")
        assert mixed[0].losses["style"] == pytest.approx(full[0].losses["style"], rel=0.05)
        assert mixed[0].losses["style"] != full[0].losses["style"]

    def test_a_loss_that_is_no_number(self, data: Path, tiny: Extractor, tmp_path: Path) -> None:
        class Broken(type(tiny)):  # type: ignore[misc]
            def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
                return {layer: maps * math.nan for layer, maps in super().forward(image, layers).items()}

        with pytest.raises(ImpastoError, match="step 1: the loss is not a number; lower --learning-rate"):
            run(CONFIG, data, Broken(), tmp_path / "out.safetensors")
        assert not list(tmp_path.iterdir())


class TestGoingOn:
    @pytest.mark.parametrize("adversarial", [False, True])
    def test_a_resumed_training_ends_in_the_same_bytes(
        self, data: Path, tiny: Extractor, tmp_path: Path, adversarial: bool
    ) -> None:
        config = replace(CONFIG, adversarial=adversarial, adversarial_weight=0.1)
        undisturbed, resumed = tmp_path / "undisturbed.safetensors", tmp_path / "resumed.safetensors"
        run(config, data, tiny, undisturbed)

        def interrupt(step: Step) -> None:
            if step.step == 4:
                raise KeyboardInterrupt

        where: dict[str, Any] = {"checkpoint": tmp_path / "run", "checkpoint_seconds": 0}
        with pytest.raises(KeyboardInterrupt):
            run(config, data, tiny, resumed, callback=interrupt, **where)
        assert not resumed.exists()
        heard = run(config, data, tiny, resumed, **where)
        # In the middle of a pairing: the second step of these crops.
        assert [step.step for step in heard] == [4, 5], "the step without a checkpoint is done again"
        assert resumed.read_bytes() == undisturbed.read_bytes()
        if adversarial:
            assert critic_path(resumed).read_bytes() == critic_path(undisturbed).read_bytes()

    def test_checkpoints_that_do_not_fit(self, data: Path, tiny: Extractor, tmp_path: Path) -> None:
        checkpoint, out = tmp_path / "run", tmp_path / "out.safetensors"
        run(replace(CONFIG, steps=1), data, tiny, out, checkpoint=checkpoint)
        with pytest.raises(ImpastoError, match="run: made with other settings or another extractor; remove it"):
            run(CONFIG, data, tiny, out, checkpoint=checkpoint)
        other = type(tiny)()
        other.sha256 = "1" * 64
        with pytest.raises(ImpastoError, match="run: made with other settings or another extractor; remove it"):
            run(replace(CONFIG, steps=1), data, other, out, checkpoint=checkpoint)
        checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
        with pytest.raises(ImpastoError, match="run: a damaged checkpoint; remove it to begin anew"):
            run(CONFIG, data, tiny, out, checkpoint=checkpoint)

    def test_a_stopped_training_leaves_its_network(self, data: Path, tiny: Extractor, tmp_path: Path) -> None:
        heard = run(CONFIG, data, tiny, tmp_path / "out.safetensors", callback=lambda step: step.step == 2)
        assert len(heard) == 2
        AutoEncoder.from_file(tmp_path / "out.safetensors")

    def test_start_from_an_earlier_training(self, data: Path, tiny: Extractor, tmp_path: Path) -> None:
        earlier, out = tmp_path / "earlier.safetensors", tmp_path / "out.safetensors"
        run(replace(CONFIG, steps=2, adversarial=True), data, tiny, earlier)
        still = replace(CONFIG, steps=1, seed=3, adversarial=True, learning_rate=0.0, critic_learning_rate=0.0)
        run(still, data, tiny, out, start_from=earlier)
        before, after = load_file(earlier), load_file(out)
        for name, tensor in before.items():
            assert torch.equal(tensor, after[name]), name
        critics = [load_file(critic_path(path)) for path in (earlier, out)]
        weights = [name for name in critics[0] if name.endswith("original") or name.endswith("bias")]
        assert len(weights) > 5
        assert all(torch.equal(critics[0][name], critics[1][name]) for name in weights)

    def test_start_from_another_kind(self, data: Path, tiny: Extractor, tmp_path: Path) -> None:
        AutoEncoder(residual=False).to_file(tmp_path / "plain.safetensors")
        with pytest.raises(ImpastoError, match=r"--start-from: .*plain\.safetensors holds a plain network"):
            run(CONFIG, data, tiny, tmp_path / "out.safetensors", start_from=tmp_path / "plain.safetensors")


class TestBatches:
    @pytest.fixture
    def images(self, data: Path) -> tuple[list[Tensor], list[Tensor]]:
        return tuple(read_images(list_images(data / name)) for name in ("contents", "styles"))  # type: ignore[return-value]

    @staticmethod
    def fabric(rank: int = 0, world: int = 1) -> Any:
        return SimpleNamespace(global_rank=rank, world_size=world, device=torch.device("cpu"), autocast=nullcontext)

    def draw(
        self, images: tuple[list[Tensor], list[Tensor]], tiny: Extractor, first: int = 0, **place: int
    ) -> Iterator:
        config = TrainConfig(steps=6, batch=4, side=32, pairings=3)
        return draw_batches(config, *images, tiny, self.fabric(**place), first)

    def test_the_same_crops_make_other_pairs(self, images: tuple[list[Tensor], list[Tensor]], tiny: Extractor) -> None:
        one, two, three, new, *_ = self.draw(images, tiny)
        assert torch.equal(one.contents, two.contents)
        assert torch.equal(one.styles[[1, 2, 3, 0]], two.styles)
        assert torch.equal(one.styles[[2, 3, 0, 1]], three.styles)
        assert not torch.equal(one.contents, new.contents)

    def test_targets_are_those_of_their_rows(self, images: tuple[list[Tensor], list[Tensor]], tiny: Extractor) -> None:
        for batch in self.draw(images, tiny):
            maps = tiny(batch.styles, STYLE_LAYERS)
            for layer in STYLE_LAYERS:
                torch.testing.assert_close(batch.grams[layer], gram_matrix(maps[layer]))
                own = gram_matrix(tiny(batch.contents, [layer])[layer])
                torch.testing.assert_close(batch.content_grams[layer], own)
            torch.testing.assert_close(batch.features, tiny(batch.contents, ["relu4_2"])["relu4_2"])

    def test_a_resumed_run_draws_the_same(self, images: tuple[list[Tensor], list[Tensor]], tiny: Extractor) -> None:
        every = list(self.draw(images, tiny))
        for first in range(6):
            later = next(self.draw(images, tiny, first))
            assert torch.equal(later.contents, every[first].contents)
            assert torch.equal(later.styles, every[first].styles)
            assert later.corner == every[first].corner

    def test_every_step_sees_another_part_of_the_grain(
        self, images: tuple[list[Tensor], list[Tensor]], tiny: Extractor
    ) -> None:
        corners = [batch.corner for batch in self.draw(images, tiny)]
        assert len(set(corners)) == len(corners)
        assert all(0 <= start < PERIOD and start % MULTIPLE == 0 for corner in corners for start in corner)

    def test_processes_share_the_rows(self, images: tuple[list[Tensor], list[Tensor]], tiny: Extractor) -> None:
        whole = next(self.draw(images, tiny))
        parts = [next(self.draw(images, tiny, rank=rank, world=2)) for rank in (0, 1)]
        assert torch.equal(parts[0].contents, whole.contents[::2])
        assert torch.equal(parts[1].styles, whole.styles[1::2])
        assert parts[0].corner == parts[1].corner == whole.corner


class TestMeasuring:
    @staticmethod
    def batch(contents: Tensor, styles: Tensor, tiny: Extractor) -> autoencoder.Batch:
        grams = [
            {layer: gram_matrix(maps) for layer, maps in tiny(images, STYLE_LAYERS).items()}
            for images in (styles, contents)
        ]
        return autoencoder.Batch(contents, styles, tiny(contents, ["relu4_2"])["relu4_2"], *grams)

    def test_ordinary_pairs_have_the_relative_losses(self, tiny: Extractor) -> None:
        generator = torch.Generator().manual_seed(0)
        contents, styles, output = torch.rand(3, 2, 3, 32, 32, generator=generator)
        batch = self.batch(contents, styles, tiny)
        assert all(
            (autoencoder.pair_losses(batch.content_grams[layer], batch.grams[layer]) < 1).all()
            for layer in STYLE_LAYERS
        )
        maps = tiny(output, ["relu4_2", *STYLE_LAYERS])
        content, style = autoencoder.measure_output(maps, batch)
        torch.testing.assert_close(content, content_loss(maps["relu4_2"], batch.features))
        expected = [style_loss(gram_matrix(maps[layer]), batch.grams[layer]) for layer in STYLE_LAYERS]
        torch.testing.assert_close(style, torch.stack(expected).mean())

    def test_a_style_without_energy_counts_by_its_share(self, tiny: Extractor) -> None:
        """The middle gray is black to the tiny extractor; in the plain mean it would count millions of times."""
        generator = torch.Generator().manual_seed(0)
        contents = torch.rand(1, 3, 32, 32, generator=generator)
        styles = 0.5 + 1e-3 * torch.rand(1, 3, 32, 32, generator=generator)
        batch = self.batch(contents, styles, tiny)
        _, untouched = autoencoder.measure_output(tiny(contents, ["relu4_2", *STYLE_LAYERS]), batch)
        assert untouched.item() == pytest.approx(1, rel=1e-4)
        assert style_loss(batch.content_grams["relu1_1"], batch.grams["relu1_1"]) > 1000


class TestPictures:
    def test_a_manifest_beside_the_folder_decides(self, tmp_path: Path) -> None:
        rows = ["file,split", "a/0.png,train", "a/1.png,validation", "b/2.png,train"]
        (tmp_path / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")
        assert list_pictures(tmp_path / "a", "train", "--content") == [tmp_path / "a" / "0.png"]
        assert list_pictures(tmp_path / "a", "validation", "--content") == [tmp_path / "a" / "1.png"]
        with pytest.raises(
            ImpastoError, match=r"--style: .*b has no validation images; name a folder with at least 20"
        ):
            list_pictures(tmp_path / "b", "validation", "--style")

    def test_without_one_every_twentieth_is_held_out(self, data: Path) -> None:
        assert [path.name for path in list_pictures(data / "styles", "validation", "--style")] == ["00.png", "20.png"]

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ImpastoError, match=r"--content: .*gone has no train images"):
            list_pictures(tmp_path / "gone", "train", "--content")


def test_the_rate_rises_and_falls() -> None:
    rates = [rate(step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(1 / 50)
    assert rates[49] == 1
    assert rates[525] == pytest.approx(0.5)
    assert 0 < rates[-1] < 1e-4
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert rate(0, 1) == 1


def test_a_journal_is_kept(data: Path, tiny: Extractor, tmp_path: Path) -> None:
    run(CONFIG, data, tiny, tmp_path / "out.safetensors", journal=tmp_path / "journal", sheet_every=2)
    names = sorted(path.name for path in (tmp_path / "journal").iterdir())
    assert names[1:] == ["sheet-000002.png", "sheet-000004.png", "sheet-000005.png"]
    assert names[0].startswith("events.out.tfevents")


SHARED = replace(CONFIG, adversarial=True, adversarial_weight=0.1, steps=3, pairings=1, learning_rate=0.02)

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from conftest import TinyExtractor
from impasto.training import autoencoder
from impasto.training.autoencoder import TrainConfig
autoencoder.JUDGED_PAIRS = autoencoder.SHEET_PAIRS = 1
autoencoder.JUDGED_SIDE = 32
data, heard = Path({data!r}), []
scores = autoencoder.train(
    {config!r}, data / "contents", data / "styles", TinyExtractor(), Path({out!r}), devices=2, callback=heard.append
)
sys.stdout.write(f"{{len(heard)}} {{scores.style_share}}\\n")
"""


def test_two_processes_learn_what_one_learns(data: Path, tiny: Extractor, tmp_path: Path) -> None:
    run(SHARED, data, tiny, tmp_path / "one.safetensors")
    script = tmp_path / "two.py"
    text = SCRIPT.format(
        tests=str(Path(__file__).parents[1]), data=str(data), out=str(tmp_path / "two.safetensors"), config=SHARED
    )
    script.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    heard, shares = zip(*sorted(line.split() for line in done.stdout.splitlines()), strict=True)
    assert heard == ("0", "3"), "the second process is silent"
    assert len(set(shares)) == 1, "and is told the scores"
    torch.manual_seed(SHARED.seed)
    start = AutoEncoder(residual=True).state_dict()
    one, two = (load_file(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    for name in ("stem.kernel.weight", "blocks.4.0.first.kernel.weight", "last.kernel.weight"):
        learned, difference = one[name].float() - start[name], two[name].float() - one[name].float()
        assert difference.norm() < 0.1 * learned.norm(), name


def test_a_batch_that_cannot_be_shared(data: Path, tiny: Extractor, tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="--batch: 2 pairs cannot be shared by 3 devices; give a multiple"):
        run(CONFIG, data, tiny, tmp_path / "out.safetensors", devices=3)
