"""Which faces both warm-ups show in a step, and how they are moved."""

from __future__ import annotations

import torch
from torch import Tensor


def deal(count: int, batch: int, step: int, seed: int, dice: torch.Generator) -> Tensor:
    """The faces of a step (0-based), by index; ``dice`` is left seeded for what else is random in that step.

    All of it follows from the step alone, so that a resumed run sees what an uninterrupted one would. Every epoch has
    its own order, and leaves out the faces that do not fill a batch.
    """
    epoch, place = divmod(step, count // batch)
    order = torch.randperm(count, generator=dice.manual_seed(seed * 1_000_003 + epoch))
    dice.manual_seed((seed + 1) * 1_000_000_007 + step)
    return order[place * batch : (place + 1) * batch]


def moved(faces: Tensor, reach: int, dice: torch.Generator) -> Tensor:
    """Each face (B, 3, side, side) moved by up to ``reach`` pixels; the border is repeated where it moves away."""
    count, channels, side, _ = faces.shape
    moves = torch.randint(-reach, reach + 1, (count, 2, 1), generator=dice)
    places = (torch.arange(side) + moves).clamp_(0, side - 1).to(faces.device)
    rows, columns = places[:, 0, None, :, None], places[:, 1, None, None, :]
    batch, channel = torch.arange(count, device=faces.device), torch.arange(channels, device=faces.device)
    return faces[batch.view(-1, 1, 1, 1), channel.view(1, -1, 1, 1), rows, columns]
