from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor
from torch.nn import functional as F

from impasto.errors import ImpastoError
from impasto.features.compact import LAYERS, PIXEL_MEAN, Compact
from impasto.features.extractor import VGG19_CHANNELS, Extractor
from impasto.training import distil
from impasto.training.distil import Student, TrainConfig, TrainProgress, export, train
from impasto.training.initialize import fit_to_teacher

#: The shipped network, but narrow.
NARROW = (
    ("relu1_1", 64),
    ("squeeze1_2", 8),
    ("relu1_2", 8),
    ("relu2_1", 12),
    ("relu3_1", 16),
    ("relu3_2", 16),
    ("relu4_1", 16),
    ("relu4_2", 16),
    ("relu5_1", 16),
)
CONFIG = TrainConfig(steps=6, batch=2, side=32, checkpoint_seconds=0)


class Teacher(Extractor):
    """One random convolution a layer, with VGG-19's channels and strides: something to learn in no time."""

    name = "teacher"
    layers = tuple(VGG19_CHANNELS)

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        found = {}
        for layer in layers:
            generator = torch.Generator().manual_seed(int(layer[4]))
            kernel = torch.randn(VGG19_CHANNELS[layer], 3, 3, 3, generator=generator)
            pooled = F.avg_pool2d(image - torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1), 2 ** (int(layer[4]) - 1))
            found[layer] = F.conv2d(pooled, kernel, torch.full((len(kernel),), 0.05), padding=1).relu()
        return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    for index in range(21):
        coarse = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC).save(folder / f"{index:02}.png")
    return folder


def test_the_stem_is_exact_and_the_error_falls(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Few pictures for least squares, so that there is something left to learn.
    monkeypatch.setattr(distil, "FIRST_BATCHES", 1)
    heard: list[TrainProgress] = []
    lines: list[str] = []
    config = TrainConfig(steps=60, batch=4, side=32, painted=0)
    out = tmp_path / "out.safetensors"
    errors = train(config, data, Teacher(), out, architecture=NARROW, callback=heard.append, log=lines.append)
    assert errors["relu1_1"] < 1e-6, "relu1_1 is found by least squares"
    assert [record.step for record in heard] == list(range(1, 61))
    began = dict(part.split() for part in lines[1].removeprefix("least squares: ").split(", "))
    assert began.keys() == errors.keys()
    early, late = (sum(record.loss for record in part) for part in (heard[:10], heard[-10:]))
    assert late < 0.9 * early


def test_the_file_sees_what_the_student_sees(data: Path, tmp_path: Path) -> None:
    """Batch norm is folded away, and R F has the distances of P F."""
    torch.manual_seed(0)
    student = Student(NARROW)
    images = torch.rand(8, 3, 32, 48)
    distil.fit_stem(student, Teacher(), images)
    fit_to_teacher(student, Teacher(), images, torch.Generator().manual_seed(0))
    student.train()
    for _ in range(30):
        student(images)  # Settles the statistics of batch norm.
    student.eval()
    export(student, tmp_path / "out.safetensors", {"note": "test"})
    compact = Compact.from_file(tmp_path / "out.safetensors")
    one, two = images[:1], images[1:2]
    with torch.no_grad():
        for layer in LAYERS:
            P = student.projection(layer)
            theirs = [P @ student(image)[layer].flatten(2) for image in (one, two)]
            ours = [compact(image, [layer])[layer].flatten(2) for image in (one, two)]
            expected, found = (pair[0] - pair[1] for pair in (theirs, ours))
            assert found.square().sum().item() == pytest.approx(expected.square().sum().item(), rel=0.02), layer
            expected, found = (pair[0] @ pair[0].mT - pair[1] @ pair[1].mT for pair in (theirs, ours))
            assert found.square().sum().item() == pytest.approx(expected.square().sum().item(), rel=0.04), layer
    with safe_open(str(tmp_path / "out.safetensors"), framework="pt") as file:
        assert json.loads(file.metadata()["impasto"])["note"] == "test"
        assert file.get_tensor("relu4_1.weight").dtype == torch.float16


def test_a_resumed_training_ends_in_the_same_bytes(data: Path, tmp_path: Path) -> None:
    train(CONFIG, data, Teacher(), tmp_path / "undisturbed.safetensors", architecture=NARROW)

    def interrupt(record: TrainProgress) -> None:
        if record.step == 4:
            raise KeyboardInterrupt

    resumed = tmp_path / "resumed.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, data, Teacher(), resumed, architecture=NARROW, checkpoint=tmp_path / "run", callback=interrupt)
    steps: list[int] = []
    train(
        CONFIG,
        data,
        Teacher(),
        resumed,
        architecture=NARROW,
        checkpoint=tmp_path / "run",
        callback=lambda record: steps.append(record.step),
    )
    assert steps == [4, 5, 6], "the step that was interrupted before its checkpoint is done again"
    assert resumed.read_bytes() == (tmp_path / "undisturbed.safetensors").read_bytes()


def test_a_checkpoint_of_other_settings(data: Path, tmp_path: Path) -> None:
    train(CONFIG, data, Teacher(), tmp_path / "a.safetensors", architecture=NARROW, checkpoint=tmp_path / "run")
    with pytest.raises(ImpastoError, match="run: made with other settings"):
        train(
            TrainConfig(steps=7),
            data,
            Teacher(),
            tmp_path / "b.safetensors",
            architecture=NARROW,
            checkpoint=tmp_path / "run",
        )


@pytest.mark.parametrize("content", [b"", b"cut short", None], ids=["empty", "no archive", "another kind"])
def test_a_damaged_checkpoint(data: Path, tmp_path: Path, content: bytes | None) -> None:
    run = tmp_path / "run"
    if content is None:
        torch.save({"step": 3}, run)
    else:
        run.write_bytes(content)
    for option, mend in (("checkpoint", "remove it, or train without --resume"), ("start_from", "name the checkpoint")):
        with pytest.raises(ImpastoError, match=f"run: a damaged checkpoint; {mend}"):
            train(CONFIG, data, Teacher(), tmp_path / "a.safetensors", architecture=NARROW, **{option: run})
