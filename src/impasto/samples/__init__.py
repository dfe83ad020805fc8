"""Half a dozen paintings that the package paints itself: style pictures for when there is none at hand.

>>> from impasto import samples
>>> samples.names()
('strokes', 'mosaic', 'hatching', 'wave', 'glass', 'marbling')
>>> samples.paint("wave", 64, 96).shape
torch.Size([1, 3, 64, 96])
"""

from __future__ import annotations

import math

import numpy as np
import torch

from impasto.errors import ImpastoError
from impasto.samples import glass, hatching, marbling, mosaic, strokes, wave
from impasto.samples.canvas import Canvas

__all__ = ["names", "paint"]

#: Each painting and how many times finer than the picture it is painted, for smooth edges.
_PAINTINGS = {
    "strokes": (strokes.paint, 2),
    "mosaic": (mosaic.paint, 2),
    "hatching": (hatching.paint, 2),
    "wave": (wave.paint, 2),
    "glass": (glass.paint, 2),
    "marbling": (marbling.paint, 3),
}
SMALLEST, LARGEST = 64, 4096
#: Pixels of a canvas: the fewest, for fine brushes need room, and, of one finer than the picture, the most.
_ROOM, _MOST = 384**2, 5_000_000


def names() -> tuple[str, ...]:
    """The names of the paintings."""
    return tuple(_PAINTINGS)


def paint(name: str, height: int = 512, width: int = 512, seed: int = 0) -> torch.Tensor:
    """Paint a picture.

    The composition does not depend on the size: 256 and 1024 pixels show the same painting. The same arguments give the
    same bytes.

    Args:
        name: One of ``names()``.
        height: In pixels, 64 to 4096.
        width: Likewise.
        seed: At least 0; another seed is another picture on the same subject.

    Returns:
        A float32 image ``(1, 3, height, width)``, sRGB in [0, 1].

    Raises:
        ImpastoError: There is no such painting, or the size or the seed is out of range.
    """
    if name not in _PAINTINGS:
        raise ImpastoError(f"samples: there is no painting {name!r}; choose from {', '.join(names())}")
    for side, pixels in (("height", height), ("width", width)):
        if not SMALLEST <= pixels <= LARGEST:
            raise ImpastoError(f"samples: a {side} of {pixels} pixels; give {SMALLEST} to {LARGEST}")
    if seed < 0:
        raise ImpastoError(f"samples: a seed of {seed}; give 0 or more")
    painter, finer = _PAINTINGS[name]
    finer = max(finer, math.ceil(math.sqrt(_ROOM / (height * width))))
    finer = max(1, min(finer, int(math.sqrt(_MOST / (height * width)))))
    picture = painter(Canvas(height * finer, width * finer), np.random.Generator(np.random.PCG64(seed)))
    picture = np.clip(picture, 0, 1).reshape(height, finer, width, finer, 3).mean(axis=(1, 3), dtype=np.float32)
    return torch.from_numpy(picture).permute(2, 0, 1)[None].contiguous()
