from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from impasto.features.compact import Compact
from impasto.features.extractor import Extractor
from impasto.refine.objective import Objective, Whole
from impasto.refine.optimizer import AdamMemory, LbfgsMemory
from impasto.refine.shelf import StoredVector
from impasto.refine.space import Vector
from impasto.settings import Settings

#: Of the shipped compact extractor, with a few channels each.
NARROW = (
    ("relu1_1", 5),
    ("relu1_2", 4),
    ("relu2_1", 6),
    ("relu2_2", 5),
    ("relu3_1", 6),
    ("relu3_2", 6),
    ("relu4_1", 7),
    ("relu4_2", 7),
    ("relu5_1", 8),
)


def objective(
    extractor: Extractor,
    content: Tensor,
    styles: Sequence[Tensor],
    *,
    bf16: bool = False,
    area: float = 1.0,
    **settings: object,
) -> Objective:
    """What a picture at once descends on."""
    chosen = Settings.check(settings)
    return Objective.of(chosen, content, shared_out(chosen, styles), Whole(extractor, bf16=bf16), area=area)


def shared_out(settings: Settings, styles: Sequence[Tensor]) -> list[tuple[Tensor, float]]:
    """Paintings with what each counts."""
    return list(zip(styles, settings.shares(len(styles)), strict=True))


def narrow_compact() -> Compact:
    generator = torch.Generator().manual_seed(2)
    tensors, width = {}, 3
    for name, channels in NARROW:
        scale = (2 / (width * 9)) ** 0.5
        tensors[f"{name}.weight"] = scale * torch.randn(channels, width, 3, 3, generator=generator)
        tensors[f"{name}.bias"] = 0.1 * torch.randn(channels, generator=generator)
        tensors[f"{name}.projection"] = torch.randn(2 * channels, channels, generator=generator)
        width = channels
    return Compact.from_tensors(tensors, NARROW)


@pytest.fixture(scope="session")
def compact() -> Compact:
    """A compact extractor with a few channels in every layer, and a metric of its own."""
    return narrow_compact()


@pytest.fixture(scope="session")
def exact() -> Compact:
    """The same in float64."""
    return narrow_compact().double()


def tensor_of(vector: Vector) -> Tensor:
    """The numbers of a vector, wherever they are."""
    return vector.read(0, vector.count).view(vector.shape) if isinstance(vector, StoredVector) else vector


def tensors_of(memory: AdamMemory | LbfgsMemory | None) -> dict[str, Tensor]:
    """All that an optimizer remembers, by name."""
    if isinstance(memory, AdamMemory):
        return {"first": tensor_of(memory.first), "second": tensor_of(memory.second)}
    assert isinstance(memory, LbfgsMemory)
    named = {"image": memory.image, "gradient": memory.gradient, "spectrum": memory.spectrum}
    found = {name: tensor_of(vector) for name, vector in named.items() if vector is not None}
    for index, pair in enumerate(memory.pairs):
        parts = {"s": pair.s, "y": pair.y, "curvature": pair.curvature}
        found |= {f"{name}{index}": tensor_of(vector) for name, vector in parts.items()}
    return found
