"""Six transforms, with torchvision's own results for what the peers give them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

Function = Callable[[Any], Any]


class Lambda:
    """Any function."""

    def __init__(self, function: Function) -> None:
        self.function = function

    def __call__(self, value: Any) -> Any:
        """Apply it."""
        return self.function(value)


class Compose(Lambda):
    """One after the other."""

    def __init__(self, transforms: Sequence[Function]) -> None:
        super().__init__(lambda value: reduce(lambda result, transform: transform(result), transforms, value))


class Resize(Lambda):
    """PIL's bilinear resizing, which is antialiased, to (height, width)."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(lambda image: image.resize(size[::-1], Image.Resampling.BILINEAR))


class ToTensor(Lambda):
    """An 8-bit picture as (3, H, W) in [0, 1]."""

    def __init__(self) -> None:
        super().__init__(lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255))


class ToPILImage(Lambda):
    """(3, H, W) in [0, 1] as an 8-bit picture. Fractions are cut off, not rounded, as in torchvision."""

    def __init__(self) -> None:
        super().__init__(lambda tensor: Image.fromarray(tensor.mul(255).byte().permute(1, 2, 0).numpy()))


class Normalize(Lambda):
    """(tensor - mean) / std for each channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        def normalize(tensor: Tensor) -> Tensor:
            channels = [torch.as_tensor(values, dtype=tensor.dtype)[:, None, None] for values in (mean, std)]
            return (tensor - channels[0]) / channels[1]

        super().__init__(normalize)
