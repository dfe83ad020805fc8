from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from teacher import NARROW, Teacher

from impasto.features.compact import LAYERS, Compact
from impasto.training.initialize import fit_stem, fit_to_teacher
from impasto.training.student import Student, export


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


def test_it_sees_in_the_place_of_the_teacher() -> None:
    torch.manual_seed(0)
    student, image = Student(NARROW).eval(), torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        seen = student.see(image, ["relu1_1", "relu4_2"])
        for layer, maps in seen.items():
            expected = student.projection(layer) @ student(image)[layer].flatten(2)
            torch.testing.assert_close(maps.flatten(2), expected)


def test_the_frozen_layers_keep_their_statistics() -> None:
    student = Student(NARROW).train()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    student(torch.rand(2, 3, 32, 32))
    changed = {name for name, value in student.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[1] for name in changed} == {"relu3_1", "relu3_2", "relu4_1", "relu4_2", "relu5_1"}
