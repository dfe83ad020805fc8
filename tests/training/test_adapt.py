from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import impasto
from impasto.course import Step
from impasto.errors import ImpastoError
from impasto.files.cards import read_card
from impasto.files.hashing import file_sha256
from impasto.instant.models import load_network, shipped_path
from impasto.networks.adapted import ENCODER, FORM
from impasto.networks.autoencoder import AutoEncoder
from impasto.training.adapt import FEWEST, Adapted, rate


@pytest.fixture
def learn(data: Path, files: tuple[Path, Path], tiny_file: str) -> Callable[..., Adapted]:
    """Learn the striped painting in a few steps, on the smooth pictures."""

    def adapt(out: Path, **given: Any) -> Adapted:
        options = {"steps": 4, "batch": 2, "side": 32, "size": 64} | given
        return impasto.adapt(
            files[1], out, content=data / "contents", extractor=tiny_file, judge=tiny_file, device="cpu", **options
        )

    return adapt


def test_the_loss_falls(learn: Callable[..., Adapted], tmp_path: Path) -> None:
    heard: list[Step] = []
    found = learn(tmp_path / "a.safetensors", steps=30, content_weight=0, callback=heard.append)
    assert found.steps == len(heard) == 30
    early, late = (sum(step.figures["style"] or 0 for step in part) for part in (heard[:5], heard[-5:]))
    assert late < 0.85 * early
    assert found.after.style_share < 0.9 * found.before.style_share
    assert found.sheet == tmp_path / "a.sheet.webp"
    assert found.sheet.is_file()


def test_the_file_is_small_and_says_what_it_is(
    learn: Callable[..., Adapted], files: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "a.safetensors"
    learn(out)
    assert out.stat().st_size < 100_000
    card = read_card(out, FORM)
    assert card is not None
    assert card["paintings"] == [{"name": "painting.png", "sha256": file_sha256(files[1])}]
    assert card["base"] == file_sha256(shipped_path())
    assert card["steps"] == 4


def test_the_network_sees_as_before_and_paints_otherwise(learn: Callable[..., Adapted], tmp_path: Path) -> None:
    out = tmp_path / "a.safetensors"
    learn(out)
    before, after = AutoEncoder.from_file(shipped_path()), load_network(out)
    changed = {
        name for name, tensor in before.state_dict().items() if not torch.equal(tensor, after.state_dict()[name])
    }
    assert changed
    assert not {name for name in changed if name.split(".")[0] in ENCODER}
    assert {"stem", "down", "look", "share"} == set(ENCODER)
    assert {"last.bias", "last.kernel.weight", "blocks.0.0.modulation.bias", "biases.0"} <= changed
    assert load_file(out)["offsets"].numel() == 3875


def test_instant_paints_with_it(learn: Callable[..., Adapted], pair: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    out = tmp_path / "a.safetensors"
    learn(out)
    painting = impasto.stylize(*pair, method="instant", size=64, model=str(out), device="cpu")
    network = load_network(out)
    with torch.no_grad():
        assert torch.allclose(painting.tensor, network(*pair), atol=1e-5)


def test_resumed_it_ends_in_the_same_bytes(learn: Callable[..., Adapted], tmp_path: Path) -> None:
    def interrupt(step: Step) -> None:
        if step.step == 2:
            raise KeyboardInterrupt

    learn(tmp_path / "a.safetensors")
    checkpoint = tmp_path / "run"
    learn(tmp_path / "b.safetensors", checkpoint=checkpoint, callback=lambda step: step.step == 2)
    (tmp_path / "b.safetensors").unlink()
    learn(tmp_path / "b.safetensors", checkpoint=checkpoint)
    assert (tmp_path / "b.safetensors").read_bytes() == (tmp_path / "a.safetensors").read_bytes()
    with pytest.raises(ImpastoError, match="run: made with other settings; remove it"):
        learn(tmp_path / "c.safetensors", checkpoint=checkpoint, rank=2)


def test_minutes_are_steps(learn: Callable[..., Adapted], tmp_path: Path) -> None:
    checkpoint = tmp_path / "run"
    found = learn(tmp_path / "a.safetensors", steps=None, minutes=1e-6, checkpoint=checkpoint)
    assert found.steps == FEWEST


def test_several_paintings(data: Path, files: tuple[Path, Path], tiny_file: str, tmp_path: Path) -> None:
    heard: list[Step] = []
    impasto.adapt(
        files, tmp_path / "a.safetensors", content=data / "contents", extractor=tiny_file, judge=tiny_file,
        steps=2, batch=1, side=32, size=64, callback=heard.append,
    )  # fmt: skip
    card = read_card(tmp_path / "a.safetensors", FORM)
    assert card is not None
    assert [painting["name"] for painting in card["paintings"]] == ["photo.png", "painting.png"]


def test_a_network_of_ones_own(learn: Callable[..., Adapted], tmp_path: Path) -> None:
    torch.manual_seed(0)
    base, out = tmp_path / "mine.safetensors", tmp_path / "a.safetensors"
    AutoEncoder(widths=(8, 8, 8, 8, 8), depths=(1, 1, 1, 1, 1), shared=4, hints=8).to_file(base)
    learn(out, start_from=base)
    assert load_network(out).widths == (8, 8, 8, 8, 8)
    base.unlink()
    with pytest.raises(ImpastoError, match=r"a\.safetensors was learned with a network that is neither"):
        load_network(out)


def test_what_cannot_be(learn: Callable[..., Adapted], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImpastoError, match=r"empty has no images; name a folder with JPEG or PNG files"):
        impasto.adapt("gallery:wave", tmp_path / "a.safetensors", content=tmp_path / "empty", steps=1)
    with pytest.raises(ImpastoError, match=r"^minutes: "):
        learn(tmp_path / "a.safetensors", minutes=0)
    out = tmp_path / "a.safetensors"
    learn(out)
    out.write_bytes(out.read_bytes()[:-100])
    with pytest.raises(ImpastoError, match=r"a\.safetensors: "):
        load_network(out)


def test_the_rate_rises_stays_and_falls() -> None:
    assert [rate(step, 60) for step in (0, 9, 30, 40)] == [0.1, 1.0, 1.0, 1.0]
    assert rate(50, 60) == pytest.approx(0.5)
    assert rate(59, 60) == pytest.approx(0.05)
