from __future__ import annotations

import pytest
import torch
from teacher import NARROW, Teacher
from torch import Tensor

from impasto.features.compact import LAYERS, Compact
from impasto.layers import STYLE_LAYERS
from impasto.refine.objective import Objective, Whole
from impasto.settings import Settings
from impasto.training.comparison import Comparison, layer_errors, pixel_gradient
from impasto.training.initialize import fit_stem, fit_to_teacher
from impasto.training.student import Student


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


def test_pixel_gradient_is_that_of_the_refinement() -> None:
    """Of the first of two pictures, whose content and style are the second."""
    extractor = Compact.from_file()
    one, two = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    wanted, _ = Objective.of(Settings(content_weight=1e-3), two, [(two, 1.0)], Whole(extractor))(one)
    found = pixel_gradient(extractor, torch.cat([one, two]))[:1]
    torch.testing.assert_close(2 * found, wanted, rtol=1e-3, atol=1e-3 * wanted.abs().max().item())


def test_the_gradient_can_be_learned() -> None:
    torch.manual_seed(0)
    student, teacher, images = Student(NARROW), Teacher(), torch.rand(4, 3, 32, 32)
    fit_stem(student, teacher, images)
    fit_to_teacher(student, teacher, images, torch.Generator().manual_seed(0))
    comparison, errors = Comparison(student).train(), []
    optimizer = torch.optim.Adam([p for p in student.parameters() if p.requires_grad], 3e-5)
    wanted = pixel_gradient(teacher, images)
    for _ in range(45):
        maps, _, _ = comparison(images, teacher(images, LAYERS), 0, wanted)
        assert student.training, "batch norm learns its statistics from the features only"
        errors.append(maps["gradient"].item())
        optimizer.zero_grad()
        maps["gradient"].backward()
        optimizer.step()
    assert errors[-1] < 0.75 * errors[0]
