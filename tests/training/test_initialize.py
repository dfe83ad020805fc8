from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.features.compact import LAYERS, PIXEL_MEAN, walk
from impasto.features.extractor import Extractor
from impasto.layers import VGG19_CHANNELS
from impasto.training import initialize
from impasto.training.comparison import feature_errors
from impasto.training.initialize import fit_stem, fit_to_teacher
from impasto.training.student import Student

#: Channels of the teacher below: as many different ones as a student can have.
DISTINCT = {"relu1_1": 64, "relu1_2": 6, "relu2_1": 8, "relu3_1": 8, "relu4_1": 8, "relu4_2": 8, "relu5_1": 8}
ARCHITECTURE = tuple(DISTINCT.items())


class Redundant(Extractor):
    """A network as deep as the student, whose many channels are a few, repeated at different loudness."""

    name = "teacher"
    layers = tuple(VGG19_CHANNELS)

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.convolutions = nn.ModuleDict()
        width = 3
        for layer, channels in ARCHITECTURE:
            self.convolutions[layer] = nn.Conv2d(width, channels, 3, padding=1)
            for parameter in self.convolutions[layer].parameters():
                parameter.data = torch.randn(parameter.shape, generator=generator) * (2 / (9 * width)) ** 0.5
            width = channels
        self.requires_grad_(False)

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        image = image - torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1)
        found = dict(walk(ARCHITECTURE, image, lambda name, x: self.convolutions[name](x)))
        for layer, maps in found.items():
            copies = -(-VGG19_CHANNELS[layer] // maps.shape[1])
            loudness = torch.arange(1, copies + 1).repeat_interleave(maps.shape[1])[: VGG19_CHANNELS[layer]]
            found[layer] = maps.repeat(1, copies, 1, 1)[:, : VGG19_CHANNELS[layer]] * loudness.view(1, -1, 1, 1)
        return {layer: found[layer] for layer in layers}


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(32, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_a_teacher_that_is_a_student_in_disguise_is_found(images: Tensor) -> None:
    """Channels that repeat are chosen once, each convolution is solved for, and the projection says the rest."""
    student, teacher = Student(ARCHITECTURE), Redundant()
    fit_stem(student, teacher, images)
    fit_to_teacher(student, teacher, images, torch.Generator().manual_seed(2), ridge=1e-5)
    unseen = [(torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(3)) * 255).byte()]
    errors = feature_errors(student, teacher, unseen, side=32)
    assert max(errors.values()) < 0.03, errors


def test_what_stands_for_no_layer_tries_to_be_the_next_one(images: Tensor) -> None:
    deeper = (*ARCHITECTURE[:-1], ("relu5_0", 8), ARCHITECTURE[-1])
    teacher, errors = Redundant(), []
    unseen = [(torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(3)) * 255).byte()]
    for architecture in (ARCHITECTURE, deeper):
        student = Student(architecture)
        fit_stem(student, teacher, images)
        fit_to_teacher(student, teacher, images, torch.Generator().manual_seed(2), ridge=1e-5)
        errors.append(feature_errors(student, teacher, unseen, side=32)["relu5_1"])
    assert errors[1] < max(2 * errors[0], 0.03), errors


def test_begins_with_channels_of_one_size(images: Tensor) -> None:
    student, teacher = Student(ARCHITECTURE), Redundant()
    fit_stem(student, teacher, images)
    fit_to_teacher(student, teacher, images, torch.Generator().manual_seed(2))
    student.eval()
    with torch.no_grad():
        maps = student(images)
    for layer in LAYERS[1:]:
        sizes = maps[layer].square().mean(dim=(0, 2, 3)).sqrt()
        assert torch.allclose(sizes, torch.ones_like(sizes), rtol=0.02), layer


def test_a_narrow_stem_tells_what_it_has_no_channel_for(images: Tensor) -> None:
    """Every one of 20 channels occurs three or four times at different loudness: 20 say all."""
    student = Student((("relu1_1", 20), *ARCHITECTURE[1:]))
    generator = torch.Generator().manual_seed(4)
    kernels, mean = torch.randn(20, 3, 3, 3, generator=generator), torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1)
    loudness = (torch.arange(64) // 20 + 1).view(1, -1, 1, 1)

    def relu1_1(image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        maps = F.conv2d(image - mean, kernels, padding=1).relu()
        return {"relu1_1": maps.repeat(1, 4, 1, 1)[:, :64] * loudness}

    fit_stem(student, relu1_1, images)  # type: ignore[arg-type]
    unseen = torch.rand(1, 3, 32, 32, generator=generator)
    with torch.no_grad():
        found = student.projection("relu1_1") @ student.convolve("relu1_1", unseen - mean).relu().flatten(2)
    wanted = relu1_1(unseen, [])["relu1_1"].flatten(2)
    assert (found - wanted).norm() < 1e-3 * wanted.norm()


def test_channels_are_chosen_for_what_they_explain() -> None:
    base = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)) - 0.5
    maps = torch.cat([base[:, :1], base[:, :1] * 2, base[:, 1:2], base[:, 1:2] * 3, base[:, 2:]], dim=1)
    chosen = set(initialize._choose(maps, 3).tolist())
    assert len(chosen & {0, 1}) == len(chosen & {2, 3}) == len(chosen & {4}) == 1


def test_where_the_target_is_zero_any_negative_answer_is_as_good() -> None:
    generator = torch.Generator().manual_seed(0)
    patches = torch.randn(2000, 5, generator=generator)
    W = torch.randn(5, 3, generator=generator)
    rows = (patches @ W - 0.4).relu()
    solution = initialize._solve(patches, rows)
    residual = ((patches @ solution[:-1] + solution[-1]).relu() - rows).square().sum() / rows.square().sum()
    linear = torch.linalg.lstsq(torch.cat([patches, torch.ones(2000, 1)], dim=1), rows).solution
    naive = ((patches @ linear[:-1] + linear[-1]).relu() - rows).square().sum() / rows.square().sum()
    assert residual < 0.02
    assert residual < 0.1 * naive
