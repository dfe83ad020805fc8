"""Images of a data set: 8 bits, as they are in the file, and quickly. Pictures to paint are read by ``decoding``."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.files.opening import open_file, open_image
from impasto.settings import Settings

# Images of a data set are far smaller; what claims more would fill the memory.
_MAX_PIXELS = Settings.max_pixels


class _SizeError(ImpastoError):
    pass


def read_rgb(source: Path | IO[bytes], label: str, longest: int | None = None) -> Image.Image:
    """Decode to RGB, reduced to a longer side of at most ``longest`` pixels; safe from several threads at once.

    Raises:
        ImpastoError: it is gone, damaged, no image, or larger than any image of a data set.
    """
    try:
        with ExitStack() as stack:
            file = source if not isinstance(source, Path) else stack.enter_context(open_file(source, label))
            picture = open_image(file, label, math.inf, extras=False).image
            if picture.width * picture.height > _MAX_PIXELS:
                raise _SizeError(f"{label}: {picture.width} x {picture.height} pixels are too many; remove it")
            if longest is not None:
                picture.draft("RGB", (longest, longest))
            rgb = picture.convert("RGB")
    except _SizeError:
        raise
    except Exception as error:  # decoders raise whatever they run into; the cause stays attached for --debug
        raise ImpastoError(f"{label}: damaged or no image; remove it or get it again") from error
    if longest is not None and max(rgb.size) > longest:
        rgb.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return rgb


def to_tensor(picture: Image.Image) -> Tensor:
    """An RGB picture as (3, H, W) uint8."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
