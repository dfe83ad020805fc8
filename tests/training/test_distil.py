from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
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
from impasto.features.extractor import CONTENT_LAYER, STYLE_LAYERS, VGG19_CHANNELS, Extractor
from impasto.refine.objective import Objective, Weights
from impasto.training import distil, initialize
from impasto.training.distil import (
    FROZEN,
    Lesson,
    Student,
    TrainConfig,
    TrainProgress,
    export,
    follow,
    layer_errors,
    pixel_gradient,
    train,
)
from impasto.training.initialize import fit_stem, fit_to_teacher

#: The shipped network, but narrow.
NARROW = (
    ("relu1_1", 64),
    ("relu1_2", 8),
    ("relu2_1", 12),
    ("relu3_1", 16),
    ("relu3_2", 16),
    ("relu4_1", 16),
    ("relu4_2", 16),
    ("relu5_1", 16),
)
pytest.importorskip("lightning_fabric")

CONFIG = TrainConfig(steps=6, batch=2, side=32, memory=8, painted=1, paint_every=3, checkpoint_seconds=0)


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


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rough beginning does."""
    monkeypatch.setattr(initialize, "ROUNDS", 6)


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
    monkeypatch.setattr(distil, "FIRST_CROPS", 6)
    heard: list[TrainProgress] = []
    lines: list[str] = []
    config = TrainConfig(steps=60, batch=4, side=32, memory=40, painted=0)
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
    fit_stem(student, Teacher(), images)
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


def test_an_interrupted_training_whose_memory_is_gone(data: Path, tmp_path: Path) -> None:
    out, run = tmp_path / "out.safetensors", tmp_path / "run"
    few = {"architecture": NARROW, "checkpoint": run}
    train(CONFIG, data, Teacher(), out, callback=lambda record: record.step == 3, **few)
    shutil.rmtree(f"{run}-memory-0")
    with pytest.raises(ImpastoError, match=r"what VGG-19 saw so far is gone; remove .*run to begin"):
        train(CONFIG, data, Teacher(), out, **few)


def test_what_least_squares_found_is_kept_at_once(data: Path, tmp_path: Path) -> None:
    out, run = tmp_path / "out.safetensors", tmp_path / "run"
    slow = replace(CONFIG, checkpoint_seconds=1e9)

    def interrupt(record: TrainProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(slow, data, Teacher(), out, architecture=NARROW, checkpoint=run, callback=interrupt)
    lines: list[str] = []
    train(slow, data, Teacher(), out, architecture=NARROW, checkpoint=run, log=lines.append)
    assert lines[1:] == ["continuing after step 0"]
    train(slow, data, Teacher(), tmp_path / "undisturbed.safetensors", architecture=NARROW)
    assert out.read_bytes() == (tmp_path / "undisturbed.safetensors").read_bytes()


def test_nothing_but_the_file_and_the_checkpoint_is_left(data: Path, tmp_path: Path) -> None:
    train(CONFIG, data, Teacher(), tmp_path / "a.safetensors", architecture=NARROW, checkpoint=tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "run"]


def test_what_least_squares_found_stays(data: Path, tmp_path: Path) -> None:
    """Down to relu2_1, batch norm and all."""
    torch.manual_seed(0)
    student = Student(NARROW)
    fit_stem(student, Teacher(), torch.rand(4, 3, 32, 32))
    fit_to_teacher(student, Teacher(), torch.rand(4, 3, 32, 32), torch.Generator().manual_seed(0))
    export(student, tmp_path / "first.safetensors", {})
    many = replace(CONFIG, learning_rate=0.1)
    train(
        many,
        data,
        Teacher(),
        tmp_path / "second.safetensors",
        architecture=NARROW,
        start_from=tmp_path / "first.safetensors",
    )
    one, two = (Compact.from_file(tmp_path / f"{name}.safetensors") for name in ("first", "second"))
    image = torch.rand(1, 3, 32, 32)
    for layer in LAYERS:
        before, after = one.maps(image, [layer])[layer], two.maps(image, [layer])[layer]
        close = torch.allclose(before, after, rtol=1e-2, atol=1e-2 * before.abs().max().item())
        assert close == (layer <= FROZEN), layer


def test_a_checkpoint_of_other_settings(data: Path, tmp_path: Path) -> None:
    train(CONFIG, data, Teacher(), tmp_path / "a.safetensors", architecture=NARROW, checkpoint=tmp_path / "run")
    others = [
        (replace(CONFIG, steps=7), NARROW),
        (CONFIG, (*NARROW[:-1], ("relu5_1", 8))),
    ]
    for config, architecture in others:
        with pytest.raises(ImpastoError, match="run: made with other settings"):
            train(
                config,
                data,
                Teacher(),
                tmp_path / "b.safetensors",
                architecture=architecture,
                checkpoint=tmp_path / "run",
            )


@pytest.mark.parametrize("content", [b"", b"cut short", None], ids=["empty", "no archive", "another kind"])
def test_a_damaged_checkpoint(data: Path, tmp_path: Path, content: bytes | None) -> None:
    run = tmp_path / "run"
    if content is None:
        torch.save({"step": 3}, run)
    else:
        run.write_bytes(content)
    with pytest.raises(ImpastoError, match="run: a damaged checkpoint; remove it to begin anew"):
        train(CONFIG, data, Teacher(), tmp_path / "a.safetensors", architecture=NARROW, checkpoint=run)


def test_a_training_goes_on_from_the_file_of_another(data: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    ended = train(CONFIG, data, Teacher(), first, architecture=NARROW)
    lines: list[str] = []
    gentle = replace(CONFIG, steps=1, learning_rate=1e-9)
    train(gentle, data, Teacher(), second, architecture=NARROW, start_from=first, log=lines.append)
    began = dict(part.split() for part in lines[1].removeprefix(f"{first}: ").split(", "))
    for layer, error in ended.items():
        # What crops of the training teach batch norm and what fp16 rounds makes little of a difference.
        assert float(began[layer]) == pytest.approx(error, abs=0.02), layer
    with pytest.raises(ImpastoError, match=r"--start-from: .*first.safetensors holds a network of other widths"):
        train(CONFIG, data, Teacher(), second, architecture=(*NARROW[:-1], ("relu5_1", 8)), start_from=first)


def test_errors_are_those_of_their_formulas() -> None:
    """Of the features, of the Gram matrices, and of what two paintings lack of their styles."""
    torch.manual_seed(0)
    student, images = Student(NARROW).eval(), torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        features, targets = student(images), Teacher()(images, LAYERS)
        maps, grams, gaps = layer_errors(student, features, targets, 2)
        for layer in LAYERS:
            P, t = student.projection(layer).double(), targets[layer].double().flatten(2)
            f = P @ features[layer].double().flatten(2)
            G, A = (part @ part.mT / part.shape[2] for part in (f, t))

            def relative(error: Tensor, energy: Tensor) -> float:
                return float((error.pow(2).sum((1, 2)) / energy.pow(2).sum((1, 2))).mean())

            assert maps[layer].item() == pytest.approx(relative(f - t, t), rel=1e-4), layer
            if layer not in STYLE_LAYERS:
                continue
            assert grams[layer].item() == pytest.approx(relative(G - A, A), rel=1e-4), layer
            wrong = (G[:2] - G[2:4]) - (A[:2] - A[2:4])
            assert gaps[layer].item() == pytest.approx(relative(wrong, A[2:4]), rel=1e-4), layer
    assert maps.keys() == set(LAYERS)
    assert grams.keys() == gaps.keys() == set(STYLE_LAYERS)
    assert not layer_errors(student, features, targets)[2], "no paintings, no gaps"


def test_the_mean_follows_the_weights_and_lies_between_them() -> None:
    torch.manual_seed(0)
    student = Student(NARROW)
    mean, weight = copy.deepcopy(student), student.convolutions["relu3_1"].weight
    first = weight.detach().clone()
    with torch.no_grad():
        weight += 1
    follow(mean, student, 0)
    near = (mean.convolutions["relu3_1"].weight - first).mean().item()  # type: ignore[operator]
    assert near == pytest.approx(0.5), "half of it is new after the first step"
    for step in range(1, 2000):
        follow(mean, student, step)
    assert torch.allclose(mean.convolutions["relu3_1"].weight, weight, atol=0.02)  # type: ignore[arg-type]


def test_pixel_gradient_is_that_of_the_refinement() -> None:
    """Of the first of two pictures, whose content and style are the second."""
    extractor = Compact.from_file()
    one, two = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    weights = Weights(1e-3, {CONTENT_LAYER: 1.0}, dict.fromkeys(STYLE_LAYERS, 0.2), (1.0,))
    wanted, _ = Objective(extractor, two, [two], weights)(one)
    found = pixel_gradient(extractor, torch.cat([one, two]))[:1]
    torch.testing.assert_close(2 * found, wanted, rtol=1e-3, atol=1e-3 * wanted.abs().max().item())


def test_the_gradient_can_be_learned() -> None:
    torch.manual_seed(0)
    student, teacher, images = Student(NARROW), Teacher(), torch.rand(4, 3, 32, 32)
    fit_stem(student, teacher, images)
    fit_to_teacher(student, teacher, images, torch.Generator().manual_seed(0))
    lesson, errors = Lesson(student).train(), []
    optimizer = torch.optim.Adam([p for p in student.parameters() if p.requires_grad], 3e-5)
    wanted = pixel_gradient(teacher, images)
    for _ in range(45):
        maps, _, _ = lesson(images, teacher(images, LAYERS), 0, wanted)
        assert student.training, "batch norm learns its statistics from the features only"
        errors.append(maps["gradient"].item())
        optimizer.zero_grad()
        maps["gradient"].backward()
        optimizer.step()
    assert errors[-1] < 0.75 * errors[0]


SCRIPT = """
import sys
from pathlib import Path

sys.path.insert(0, {tests!r})
from training.test_distil import NARROW, Teacher
from impasto.training.distil import TrainConfig, train

heard = []
errors = train(
    {config!r}, {data!r}, Teacher(), {out!r}, architecture=NARROW, devices=2, callback=heard.append
)
sys.stdout.write(f"{{len(heard)}} {{errors['relu4_1']}}\\n")
"""


def test_two_processes_train_one_student(data: Path, tmp_path: Path) -> None:
    config = TrainConfig(steps=4, batch=4, side=32, memory=8, painted=2, paint_every=2, gradient_weight=0.1)
    script = tmp_path / "two.py"
    out = tmp_path / "two.safetensors"
    tests = str(Path(__file__).parents[1])
    script.write_text(SCRIPT.format(tests=tests, data=str(data), out=str(out), config=config), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    heard, errors = zip(*sorted(line.split() for line in done.stdout.splitlines()), strict=True)
    assert heard == ("0", "4"), "the second process is silent"
    assert len(set(errors)) == 1, "and is told the scores"
    single = train(config, data, Teacher(), tmp_path / "one.safetensors", architecture=NARROW)
    assert single["relu4_1"] == pytest.approx(float(errors[0]), rel=0.2), "which are nearly those of one process"


def test_a_batch_that_cannot_be_shared(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="--batch: 2 crops cannot be shared by 3 devices; give a multiple"):
        train(CONFIG, data, Teacher(), tmp_path / "out.safetensors", architecture=NARROW, devices=3)
