"""Pictures that the student in training paints, as it would once shipped, half-finished and finished.

An optimizer finds whatever pleases the small network and not VGG-19: noise, ringing, strokes of the wrong size. The
teacher is shown these pictures, too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.features.compact import Compact
from impasto.features.extractor import Extractor
from impasto.refine.checkpoint import Position
from impasto.refine.descend import descend
from impasto.refine.pyramid import plan
from impasto.settings import Settings
from impasto.training.student import Student, fold

#: Pictures that are kept of a painting: one on the way, at the finest scale, and the finished one.
KEPT = 2
#: Half of the paintings have the default λ; the others draw it between these powers of ten.
LEAST, MOST = -4.2, -2.3


def paint(extractor: Extractor, content: Tensor, style: Tensor, generator: torch.Generator) -> Tensor:
    """Paint ``content`` in ``style``, (1, 3, H, W) each in [0, 1], through ``extractor`` with the default steps.

    ``generator`` draws λ, and the step that is kept. Returns (KEPT, 3, H, W) in [0, 1].
    """
    usual, power, moment = torch.rand(3, generator=generator).tolist()
    settings = Settings() if usual < 0.5 else Settings(content_weight=10 ** (LEAST + (MOST - LEAST) * power))
    scales = plan(max(content.shape[-2:]))
    halfway = 1 + int(moment * (scales[-1].steps - 1))
    kept = []

    def keep(position: Position) -> None:
        if (position.level, position.step) == (len(scales) - 1, halfway) and position.state is not None:
            kept.append(position.state.image)

    finished = descend(content, [style], extractor, settings, scales, lambda size: content, after_step=keep)
    return torch.cat([*kept, finished])


def paint_pairs(student: Student, contents: Tensor, styles: Tensor, generator: torch.Generator) -> Tensor:
    """What the student would paint if it shipped now, each painting followed by its style: (B, KEPT + 1, 3, H, W)."""
    device = student.mean.device
    tensors = {name: tensor.float() for name, tensor in fold(student).items()}
    painter = Compact.from_tensors(tensors, student.architecture).to(device)
    pairs = []
    for content, style in zip(contents.split(1), styles.split(1), strict=True):
        pictures = paint(painter, content.to(device), style.to(device), generator)
        pairs.append(torch.cat([pictures.cpu(), style]))
    return torch.stack(pairs)
