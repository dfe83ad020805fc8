"""What pystiche imports: an 8-bit picture to a tensor and back, and three names of parts that nothing here calls."""

from __future__ import annotations

from typing import NoReturn

from PIL import Image
from torch import Tensor

from torchvision.transforms import ToPILImage, ToTensor

#: A mode's name to the mode; PIL's own numbers serve.
InterpolationMode = Image.Resampling


def to_tensor(image: Image.Image) -> Tensor:
    """(3, H, W) in [0, 1]."""
    return ToTensor()(image)


def to_pil_image(image: Tensor, mode: str | None = None) -> Image.Image:
    """An 8-bit picture; ``mode`` is PIL's, for a picture of three channels always RGB."""
    return ToPILImage()(image)


def affine(*arguments: object, **settings: object) -> NoReturn:
    """Of pystiche's MRF loss, which no benchmark uses."""
    raise NotImplementedError("this stand-in for torchvision cannot rotate and scale")


def resize(*arguments: object, **settings: object) -> NoReturn:
    """Of pystiche's pyramid, which no benchmark uses."""
    raise NotImplementedError("this stand-in for torchvision resizes files only")
