from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from impasto.configs import AttributesConfig
from impasto.course import Course, Step
from impasto.errors import ImpastoError
from impasto.lessons.attributes import RAREST, AttributeNet, answers, augment, balanced_loss, predict, train
from impasto.lessons.celeba import ATTRIBUTES, CelebA, read_celeba
from impasto.lessons.drawn import DRAWN, draw_faces

SMALL = AttributesConfig(epochs=3, batch=8, side=16, width=2)


def with_partition(folder: Path, count: int) -> CelebA:
    """Every fifth face for validation, every fifth for the test."""
    rows = "".join(f"{number:06}.jpg,{max(0, number % 5 - 2)}\n" for number in range(1, count + 1))
    (folder / "list_eval_partition.csv").write_text("image_id,partition\n" + rows)
    return read_celeba(folder)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> CelebA:
    return with_partition(draw_faces(tmp_path_factory.mktemp("faces"), 60, 1, side=16), 60)


@pytest.fixture(scope="module")
def model() -> AttributeNet:
    torch.manual_seed(0)
    return AttributeNet(ATTRIBUTES, side=32, width=2).eval()


class TestLoss:
    def test_the_formula(self) -> None:
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(6, 3, generator=generator, dtype=torch.float64)
        labels = torch.rand(6, 3, generator=generator) < 0.5
        shares = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
        expected = 0.0
        for row in range(6):
            for column in range(3):
                z, p = logits[row, column].item(), shares[column].item()
                chance = 1 / (1 + math.exp(-z))
                expected -= math.log(chance) / (2 * p) if labels[row, column] else math.log(1 - chance) / (2 - 2 * p)
        assert balanced_loss(logits, labels, shares).item() == pytest.approx(expected / 18, rel=1e-12)

    def test_half_and_half_is_plain_cross_entropy(self) -> None:
        logits, labels = torch.randn(5, 4), torch.rand(5, 4) < 0.5
        plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.float())
        assert balanced_loss(logits, labels, torch.full((4,), 0.5)).item() == pytest.approx(plain.item(), rel=1e-6)

    def test_who_does_not_look_answers_half(self) -> None:
        """One face in ten has it: at a logit of zero both sides pull alike."""
        logit = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        labels = torch.tensor([[True]] + 9 * [[False]])
        balanced_loss(logit.expand(10, 1), labels, torch.tensor([0.1], dtype=torch.float64)).backward()
        assert logit.grad is not None
        assert logit.grad.item() == pytest.approx(0, abs=1e-12)

    def test_and_the_shift_makes_the_share_of_that(self, faces: CelebA, tmp_path: Path) -> None:
        train(replace(SMALL, epochs=1), faces, tmp_path / "out.safetensors")
        network = AttributeNet.from_file(tmp_path / "out.safetensors")
        assert faces.labels is not None
        shares = faces.labels[faces.rows("train")].float().mean(dim=0).clamp(RAREST, 1 - RAREST)
        assert torch.allclose(torch.sigmoid(0 - network.shift), shares, atol=1e-6)


class TestAugment:
    def test_the_same_for_the_same_seed(self) -> None:
        batch = torch.rand(8, 3, 32, 32)
        one, two = (augment(batch, torch.Generator().manual_seed(3)) for _ in range(2))
        assert torch.equal(one, two)
        assert not torch.equal(one, augment(batch, torch.Generator().manual_seed(4)))

    def test_every_row_is_one_of_the_moved_and_mirrored(self) -> None:
        """Found again by trying all: mirrored or not, up to two pixels each way, a gain of a fifth at most."""
        batch = 0.1 + 0.6 * torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        for face, shown in zip(batch, augment(batch, torch.Generator().manual_seed(1)), strict=True):
            found = []
            for mirrored in (face, face.flip(-1)):
                for down in range(-2, 3):
                    for right in range(-2, 3):
                        expected = mirrored.roll((-down, -right), (1, 2))[:, 2:-2, 2:-2]
                        gain = shown[:, 2:-2, 2:-2] / expected
                        found += [gain.mean().item()] if gain.std() < 1e-4 else []
            assert len(found) == 1
            assert 0.8 <= found[0] <= 1.2


class TestNetwork:
    @pytest.mark.parametrize(("side", "batch"), [(16, 1), (32, 3), (48, 2)])
    def test_shapes(self, side: int, batch: int) -> None:
        network = AttributeNet(ATTRIBUTES[:5], side, width=2).eval()
        probabilities = network.probabilities(torch.rand(batch, 3, side, side))
        assert probabilities.shape == (batch, 5)
        assert probabilities.min() >= 0
        assert probabilities.max() <= 1

    def test_predict_sees_what_training_saw(self, model: AttributeNet, tmp_path: Path) -> None:
        data = read_celeba(draw_faces(tmp_path / "data", 3, 5, side=40))
        one_by_one = torch.cat([predict(model, data.image(index)[None].float() / 255) for index in range(3)])
        assert torch.allclose(one_by_one, answers(model, data.load(32)), atol=1e-6)
        assert not model.training, "a question does not put the network back into training"


class TestTraining:
    def test_it_learns_to_see(self, tmp_path: Path) -> None:
        data = with_partition(draw_faces(tmp_path / "data", 400, 2, side=32), 400)
        config = AttributesConfig(epochs=12, batch=16, side=32, width=8, learning_rate=8e-3)
        scores = train(config, data, tmp_path / "out.safetensors")
        assert scores.averaged == len(DRAWN)
        assert scores.means["network"]["average_precision"] > scores.means["majority"]["average_precision"] + 0.15
        assert scores.means["network"]["accuracy"] > scores.means["majority"]["accuracy"]
        assert scores.rows["Young"]["network"] is None, "no drawn face is young or not"

    @pytest.mark.parametrize("at", [1, 4, 5, 8])
    def test_resumed_it_ends_in_the_same_bytes(self, faces: CelebA, tmp_path: Path, at: int) -> None:
        """Cut within an epoch and at the end of one (an epoch has four steps)."""
        calm = train(SMALL, faces, tmp_path / "calm.safetensors")

        def interrupt(record: Step) -> None:
            if record.step == at + 1:
                raise KeyboardInterrupt

        resumed, checkpoint = tmp_path / "resumed.safetensors", tmp_path / "run"
        with pytest.raises(KeyboardInterrupt):
            train(SMALL, faces, resumed, course=Course(checkpoint, seconds=0, callback=interrupt))
        assert not resumed.exists()
        torch.manual_seed(99)
        steps: list[int] = []
        course = Course(checkpoint, callback=lambda record: steps.append(record.step))
        scores = train(SMALL, faces, resumed, course=course)
        assert steps == list(range(at + 1, 13))
        assert resumed.read_bytes() == (tmp_path / "calm.safetensors").read_bytes()
        assert scores == calm

    def test_early_stopping_keeps_the_best(self, faces: CelebA, tmp_path: Path) -> None:
        reached = iter([0.5, 0.6, 0.55, 0.6, 0.9])

        def measure(values: Tensor, labels: Tensor) -> float:
            assert values.shape == labels.shape
            return next(reached)

        config = replace(SMALL, epochs=5, patience=2)
        heard: list[Step] = []
        train(config, faces, tmp_path / "out.safetensors", course=Course(callback=heard.append), measure=measure)
        assert [record.figures["epoch"] for record in heard[3::4]] == [1, 2, 3, 4], (
            "as good is not better, and 0.9 never came"
        )
        assert heard[0].figures["average_precision"] is None
        assert [record.figures["average_precision"] for record in heard[3::4]] == [0.5, 0.6, 0.6, 0.6]
        # The weights are those of the second epoch.
        train(config, faces, tmp_path / "two.safetensors", course=Course(callback=lambda record: record.step == 4))
        first = AttributeNet.from_file(tmp_path / "two.safetensors").answer.weight
        best = AttributeNet.from_file(tmp_path / "out.safetensors").answer.weight
        assert not torch.equal(first, best)
        with safe_open(str(tmp_path / "out.safetensors"), framework="pt") as file:
            assert json.loads(file.metadata()["impasto"])["best_epoch"] == 2

    def test_checkpoints_that_do_not_fit(self, faces: CelebA, tmp_path: Path) -> None:
        checkpoint = tmp_path / "run"
        train(SMALL, faces, tmp_path / "a.safetensors", course=Course(checkpoint))
        with pytest.raises(ImpastoError, match="run: made with other settings; remove it"):
            train(replace(SMALL, seed=1), faces, tmp_path / "b.safetensors", course=Course(checkpoint))
        other = replace(faces, labels=~faces.labels)  # type: ignore[operator]
        with pytest.raises(ImpastoError, match="run: made with other faces; remove it"):
            train(SMALL, other, tmp_path / "b.safetensors", course=Course(checkpoint))
        checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
        with pytest.raises(ImpastoError, match="run: a damaged checkpoint"):
            train(SMALL, faces, tmp_path / "b.safetensors", course=Course(checkpoint))

    def test_mistakes(self, faces: CelebA, tmp_path: Path) -> None:
        out = tmp_path / "out.safetensors"
        with pytest.raises(ImpastoError, match=r"has no list_attr_celeba\.csv or \.txt"):
            train(SMALL, replace(faces, labels=None), out)
        with pytest.raises(ImpastoError, match="0 faces in the validation split"):
            train(SMALL, replace(faces, split=("train",) * len(faces)), out)
        with pytest.raises(ImpastoError, match=r"step \d+: the loss is not a number; lower learning_rate"):
            train(replace(SMALL, learning_rate=1e30), faces, out)
        assert not out.exists()


class TestFile:
    def test_says_what_it_is(self, faces: CelebA, tmp_path: Path) -> None:
        out = tmp_path / "out.safetensors"
        train(replace(SMALL, epochs=1), faces, out)
        with safe_open(str(out), framework="pt") as file:
            card = json.loads(file.metadata()["impasto"])
        assert card["settings"] == {"attributes": list(ATTRIBUTES), "side": 16, "width": 2}
        assert card["config"]["epochs"] == 1
        network = AttributeNet.from_file(out)
        assert (network.attributes, network.side, network.training) == (ATTRIBUTES, 16, False)

    def test_refused(self, faces: CelebA, tmp_path: Path) -> None:
        with pytest.raises(ImpastoError, match=r"gone: cannot be read \(No such file or directory\); check"):
            AttributeNet.from_file(tmp_path / "gone")
        other = tmp_path / "other.safetensors"
        save_file({"a": torch.zeros(1)}, other)
        with pytest.raises(
            ImpastoError, match="is not a network of attributes; give a file of 'impasto train attributes'"
        ):
            AttributeNet.from_file(other)
        out = tmp_path / "out.safetensors"
        train(replace(SMALL, epochs=1), faces, out)
        out.write_bytes(out.read_bytes()[:-100])
        with pytest.raises(ImpastoError, match="cannot be read as a network of attributes"):
            AttributeNet.from_file(out)
