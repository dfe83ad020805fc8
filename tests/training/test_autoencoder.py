from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from impasto.configs import AutoencoderConfig
from impasto.course import Course, Step
from impasto.errors import ImpastoError
from impasto.features.extractor import Extractor
from impasto.losses import RELATIVE_CONTENT_SCALE
from impasto.networks.autoencoder import AutoEncoder
from impasto.training.autoencoder import critic_path, rate, train

pytest.importorskip("lightning_fabric")

CONFIG = AutoencoderConfig(residual=True, steps=5, batch=2, side=32, judged_pairs=1, judged_side=32)


def run(
    config: AutoencoderConfig,
    data: Path,
    extractor: Extractor,
    out: Path,
    *,
    callback: Callable[[Step], bool | None] = lambda step: None,
    checkpoint: Path | None = None,
    **keywords: Any,
) -> list[Step]:
    heard: list[Step] = []
    course = Course(checkpoint, seconds=0, callback=lambda step: heard.append(step) or callback(step))  # type: ignore[func-returns-value]
    train(config, data / "contents", data / "styles", extractor, out, course=course, **keywords)
    return heard


class TestLearning:
    @pytest.mark.parametrize("residual", [False, True])
    def test_the_loss_falls(self, data: Path, tiny: Extractor, tmp_path: Path, residual: bool) -> None:
        config = replace(CONFIG, residual=residual, steps=24, batch=4)
        heard = run(config, data, tiny, tmp_path / "out.safetensors")
        assert [step.step for step in heard] == list(range(1, 25))
        early, late = (sum(step.figures["total"] for step in part) for part in (heard[:6], heard[-6:]))
        assert late < 0.9 * early
        network = AutoEncoder.from_file(tmp_path / "out.safetensors")
        assert network.residual is residual

    def test_total_is_the_metric(self, data: Path, tiny: Extractor, tmp_path: Path) -> None:
        config = replace(CONFIG, steps=2, adversarial=True, content_weight=2e-3, adversarial_weight=0.3)
        for step in run(config, data, tiny, tmp_path / "out.safetensors"):
            losses = step.figures
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
        assert "discriminator" not in heard[0].figures
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
        assert mixed[0].figures["style"] == pytest.approx(full[0].figures["style"], rel=0.05)
        assert mixed[0].figures["style"] != full[0].figures["style"]

    def test_a_loss_that_is_no_number(self, data: Path, tiny: Extractor, tmp_path: Path) -> None:
        class Broken(type(tiny)):  # type: ignore[misc]
            def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
                return {layer: maps * math.nan for layer, maps in super().forward(image, layers).items()}

        with pytest.raises(ImpastoError, match="step 1: the loss is not a number; lower learning_rate"):
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

        where = {"checkpoint": tmp_path / "run"}
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
        with pytest.raises(ImpastoError, match="run: made with other settings; remove it"):
            run(CONFIG, data, tiny, out, checkpoint=checkpoint)
        other = type(tiny)()
        other.sha256 = "1" * 64
        with pytest.raises(ImpastoError, match="run: made with other extractor weights; remove it"):
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
        with pytest.raises(ImpastoError, match=r"start_from: .*plain\.safetensors holds a plain network"):
            run(CONFIG, data, tiny, tmp_path / "out.safetensors", start_from=tmp_path / "plain.safetensors")


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
from impasto.configs import AutoencoderConfig
from impasto.course import Course
from impasto.training.autoencoder import train
data, heard = Path({data!r}), []
course = Course(callback=heard.append)
scores = train(
    {config!r}, data / "contents", data / "styles", TinyExtractor(), Path({out!r}), devices=2, course=course
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
    with pytest.raises(ImpastoError, match="batch: 2 cannot be shared by 3 devices; give a multiple"):
        run(CONFIG, data, tiny, tmp_path / "out.safetensors", devices=3)
