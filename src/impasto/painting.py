"""What comes out of a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from torch import Tensor

from impasto.files.encoding import KEYWORD
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
        credit: artist and copyright of the photograph, by EXIF's numbers, where its file tells them.
    """

    tensor: Tensor
    alpha: Tensor | None
    losses: list[Progress]
    recipe: Recipe
    notices: tuple[str, ...]
    seconds: float
    credit: Mapping[int, str] = field(default_factory=dict)

    @property
    def image(self) -> Image.Image:
        """The picture as a PIL image, with the photograph's transparency if it had any, and the recipe in its ``info``.

        Pillow writes ``info["impasto"]`` into no file; :meth:`save` does.
        """
        image = to_pil(self.tensor, self.alpha)
        image.info[KEYWORD] = self.recipe.without_folders().to_json()
        return image

    def save(
        self,
        target: str | os.PathLike[str] | IO[bytes],
        *,
        depth: int = 8,
        force: bool = False,
        quality: int = 95,
        kind: str | None = None,
        recipe: bool = True,
    ) -> None:
        """Write the picture, with its recipe inside (files by name, without folders), and the photograph's credit.

        Args:
            target: a path, .png, .jpg, .webp, .tif or .avif, or a file that is open for writing bytes.
            depth: bits a channel, 8 or 16.
            force: replace a file that exists.
            quality: of JPEG, WebP and AVIF, 1 to 100.
            kind: of an open file: png, jpeg, webp, tiff or avif; by default what the ending of its name says, or png.
            recipe: whether to write it.

        Raises:
            ImpastoError: the file exists, cannot be written, or cannot hold 16 bits.
        """
        save_image(
            target,
            self.tensor,
            alpha=self.alpha,
            depth=depth,
            recipe=self.recipe.without_folders().to_json() if recipe else None,
            force=force,
            quality=quality,
            kind=kind,
            credit=self.credit,
        )
