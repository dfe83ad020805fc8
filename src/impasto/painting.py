"""What comes out of a run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from impasto.images import save_image, to_pil
from impasto.job import Progress
from impasto.recipe import Recipe

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Painting:
    """A finished picture.

    Attributes:
        tensor: the picture (1, 3, H, W), sRGB in [0, 1].
        alpha: the photograph's transparency (1, 1, H, W), if it had any.
        losses: one record for each step; none where nothing was refined.
        recipe: how to make the picture again.
        notices: plain lines worth telling.
        seconds: how long it took.
    """

    tensor: Tensor
    alpha: Tensor | None
    losses: list[Progress]
    recipe: Recipe
    notices: tuple[str, ...]
    seconds: float

    @property
    def image(self) -> Image.Image:
        """The picture as a PIL image, with the photograph's transparency if it had any."""
        return to_pil(self.tensor, self.alpha)

    def save(self, path: str | os.PathLike[str], *, depth: int = 8, force: bool = False) -> None:
        """Write the picture, with its recipe inside.

        Args:
            path: .png, .jpg, .webp or .tif.
            depth: bits a channel, 8 or 16.
            force: replace a file that exists.

        Raises:
            ImpastoError: the file exists, cannot be written, or cannot hold 16 bits.
        """
        save_image(path, self.tensor, alpha=self.alpha, depth=depth, recipe=self.recipe.to_json(), force=force)
