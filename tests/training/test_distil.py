from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from teacher import NARROW, Teacher

from impasto.configs import ExtractorConfig
from impasto.course import Course, Step
from impasto.errors import ImpastoError
from impasto.features.compact import LAYERS, Compact
from impasto.training.distil import train
from impasto.training.initialize import fit_stem, fit_to_teacher
from impasto.training.student import FROZEN, Student, export

pytest.importorskip("lightning_fabric")

CONFIG = ExtractorConfig(steps=6, batch=2, side=32, memory=8, painted=1, paint_every=3, first_rounds=6)


def test_the_stem_is_exact_and_the_error_falls(images: Path, tmp_path: Path) -> None:
    heard: list[Step] = []
    lines: list[str] = []
    # Few pictures for least squares, so that there is something left to learn.
    config = ExtractorConfig(steps=60, batch=4, side=32, memory=40, painted=0, first_crops=6, first_rounds=6)
    out = tmp_path / "out.safetensors"
    errors = train(
        config, images, Teacher(), out, architecture=NARROW, course=Course(callback=heard.append, log=lines.append)
    )
    assert errors["relu1_1"] < 1e-6, "relu1_1 is found by least squares"
    assert [record.step for record in heard] == list(range(1, 61))
    began = dict(part.split() for part in lines[1].removeprefix("least squares: ").split(", "))
    assert began.keys() == errors.keys()
    early, late = (sum(record.figures["loss"] for record in part) for part in (heard[:10], heard[-10:]))
    assert late < 0.9 * early


def test_a_resumed_training_ends_in_the_same_bytes(images: Path, tmp_path: Path) -> None:
    train(CONFIG, images, Teacher(), tmp_path / "undisturbed.safetensors", architecture=NARROW)

    def interrupt(record: Step) -> None:
        if record.step == 4:
            raise KeyboardInterrupt

    resumed = tmp_path / "resumed.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(
            CONFIG,
            images,
            Teacher(),
            resumed,
            architecture=NARROW,
            course=Course(tmp_path / "run", seconds=0, callback=interrupt),
        )
    steps: list[int] = []
    train(
        CONFIG,
        images,
        Teacher(),
        resumed,
        architecture=NARROW,
        course=Course(tmp_path / "run", seconds=0, callback=lambda record: steps.append(record.step)),
    )
    assert steps == [4, 5, 6], "the step that was interrupted before its checkpoint is done again"
    assert resumed.read_bytes() == (tmp_path / "undisturbed.safetensors").read_bytes()


def test_an_interrupted_training_whose_memory_is_gone(images: Path, tmp_path: Path) -> None:
    out, run = tmp_path / "out.safetensors", tmp_path / "run"
    course = Course(run, callback=lambda record: record.step == 3)
    train(CONFIG, images, Teacher(), out, architecture=NARROW, course=course)
    shutil.rmtree(f"{run}-memory-0")
    with pytest.raises(ImpastoError, match=r"what VGG-19 saw so far is gone; remove .*run to begin"):
        train(CONFIG, images, Teacher(), out, architecture=NARROW, course=Course(run))


def test_what_least_squares_found_is_kept_at_once(images: Path, tmp_path: Path) -> None:
    out, run = tmp_path / "out.safetensors", tmp_path / "run"

    def interrupt(record: Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, images, Teacher(), out, architecture=NARROW, course=Course(run, seconds=1e9, callback=interrupt))
    lines: list[str] = []
    train(CONFIG, images, Teacher(), out, architecture=NARROW, course=Course(run, log=lines.append))
    assert lines[1:] == ["continuing after step 0"]
    train(CONFIG, images, Teacher(), tmp_path / "undisturbed.safetensors", architecture=NARROW)
    assert out.read_bytes() == (tmp_path / "undisturbed.safetensors").read_bytes()


def test_nothing_but_the_file_and_the_checkpoint_is_left(images: Path, tmp_path: Path) -> None:
    train(CONFIG, images, Teacher(), tmp_path / "a.safetensors", architecture=NARROW, course=Course(tmp_path / "run"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "run"]


def test_what_least_squares_found_stays(images: Path, tmp_path: Path) -> None:
    """Down to relu2_1, batch norm and all."""
    torch.manual_seed(0)
    student = Student(NARROW)
    fit_stem(student, Teacher(), torch.rand(4, 3, 32, 32))
    fit_to_teacher(student, Teacher(), torch.rand(4, 3, 32, 32), torch.Generator().manual_seed(0))
    export(student, tmp_path / "first.safetensors", {})
    many = replace(CONFIG, learning_rate=0.1)
    train(
        many,
        images,
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


def test_a_checkpoint_of_other_settings(images: Path, tmp_path: Path) -> None:
    train(CONFIG, images, Teacher(), tmp_path / "a.safetensors", architecture=NARROW, course=Course(tmp_path / "run"))
    others = [
        (replace(CONFIG, steps=7), NARROW),
        (CONFIG, (*NARROW[:-1], ("relu5_1", 8))),
    ]
    for config, architecture in others:
        with pytest.raises(ImpastoError, match="run: made with other settings"):
            train(
                config,
                images,
                Teacher(),
                tmp_path / "b.safetensors",
                architecture=architecture,
                course=Course(tmp_path / "run"),
            )


@pytest.mark.parametrize("content", [b"", b"cut short", None], ids=["empty", "no archive", "another kind"])
def test_a_damaged_checkpoint(images: Path, tmp_path: Path, content: bytes | None) -> None:
    run = tmp_path / "run"
    if content is None:
        torch.save({"step": 3}, run)
    else:
        run.write_bytes(content)
    with pytest.raises(ImpastoError, match="run: a damaged checkpoint; remove it to begin anew"):
        train(CONFIG, images, Teacher(), tmp_path / "a.safetensors", architecture=NARROW, course=Course(run))


def test_a_training_goes_on_from_the_file_of_another(images: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    ended = train(CONFIG, images, Teacher(), first, architecture=NARROW)
    lines: list[str] = []
    gentle = replace(CONFIG, steps=1, learning_rate=1e-9)
    train(gentle, images, Teacher(), second, architecture=NARROW, start_from=first, course=Course(log=lines.append))
    began = dict(part.split() for part in lines[1].removeprefix(f"{first}: ").split(", "))
    for layer, error in ended.items():
        # What crops of the training teach batch norm and what fp16 rounds makes little of a difference.
        assert float(began[layer]) == pytest.approx(error, abs=0.02), layer
    with pytest.raises(ImpastoError, match=r"start_from: .*first.safetensors holds a network of other widths"):
        train(CONFIG, images, Teacher(), second, architecture=(*NARROW[:-1], ("relu5_1", 8)), start_from=first)


SCRIPT = """
import sys
from pathlib import Path

sys.path.insert(0, {tests!r})
from teacher import NARROW, Teacher
from impasto.configs import ExtractorConfig
from impasto.course import Course
from impasto.training.distil import train

heard = []
errors = train(
    {config!r}, {data!r}, Teacher(), {out!r}, architecture=NARROW, devices=2, course=Course(callback=heard.append)
)
sys.stdout.write(f"{{len(heard)}} {{errors['relu4_1']}}\\n")
"""


def test_two_processes_train_one_student(images: Path, tmp_path: Path) -> None:
    config = ExtractorConfig(
        steps=4, batch=4, side=32, memory=8, painted=2, paint_every=2, gradient_weight=0.1, first_rounds=6
    )
    script = tmp_path / "two.py"
    out = tmp_path / "two.safetensors"
    tests = str(Path(__file__).parent)
    script.write_text(SCRIPT.format(tests=tests, data=str(images), out=str(out), config=config), encoding="utf-8")
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
    single = train(config, images, Teacher(), tmp_path / "one.safetensors", architecture=NARROW)
    assert single["relu4_1"] == pytest.approx(float(errors[0]), rel=0.2), "which are nearly those of one process"


def test_a_batch_that_cannot_be_shared(images: Path, tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="batch: 2 cannot be shared by 3 devices; give a multiple"):
        train(CONFIG, images, Teacher(), tmp_path / "out.safetensors", architecture=NARROW, devices=3)


def test_a_batch_in_which_nothing_can_be_compared(images: Path, tmp_path: Path) -> None:
    alone = replace(CONFIG, batch=1, painted=0, gradient_weight=1.0)
    with pytest.raises(ImpastoError, match="gradient_weight: compares pictures of a batch; give batch two for each"):
        train(alone, images, Teacher(), tmp_path / "out.safetensors", architecture=NARROW)
