"""Training images: read once, cropped and augmented at every step, the same for the same seed."""

from __future__ import annotations

import csv
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.errors import ImpastoError
from impasto.files.plain import read_rgb, to_tensor

ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}
_LONGEST_MANIFEST = 256 * 1024 * 1024  # bytes


def list_images(folder: str | Path, split: str = "train", setting: str = "data") -> list[Path]:
    """The images below ``folder`` that belong to ``split`` (``train`` or ``validation``).

    A ``manifest.csv`` in the folder or beside it (columns ``file`` and ``split``) decides, also on the order. Without
    one the list is sorted, and every 20th image is for validation.

    What is no regular file is left out of the list.

    Raises:
        ImpastoError: there are none, or the manifest cannot be read; ``setting`` is the one that named the folder.
    """
    folder = Path(folder)
    tables = (place / "manifest.csv" for place in (folder, folder.parent))
    manifest = next((path for path in tables if path.is_file()), None)
    if manifest is None:
        every = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
        paths = [path for index, path in enumerate(every) if (index % 20 == 0) == (split == "validation")]
    else:
        paths = [path for path in _listed(manifest, split) if folder in path.parents]
    if not paths:
        wrong = f"{folder} has no {split} images; name a folder with at least 20 JPEG or PNG files"
        raise ImpastoError(wrong, setting=setting)
    return paths


def _listed(manifest: Path, split: str) -> list[Path]:
    """The files of a manifest that belong to a split.

    Raises:
        ImpastoError: it cannot be read, lacks a column, or names a file outside its folder.
    """
    wrong = f"{manifest}: is no table with the columns file and split; mend or remove it"
    try:
        if manifest.stat().st_size > _LONGEST_MANIFEST:
            raise ImpastoError(wrong)
        with manifest.open(newline="", encoding="utf-8") as file:
            names = [row["file"] or "" for row in csv.DictReader(file) if row["split"] == split]
    except (OSError, KeyError, TypeError, UnicodeDecodeError, csv.Error) as error:
        raise ImpastoError(wrong) from error
    paths = [manifest.parent / name for name in names]
    for name, path in zip(names, paths, strict=True):
        if ".." in Path(name).parts or Path(name).is_absolute() or "\0" in name:
            raise ImpastoError(f"{manifest}: names a file outside its folder, {name!r:.60}; remove that row")
        if path.exists() and not path.is_file():
            raise ImpastoError(f"{manifest}: {name!r:.60} is no regular file; remove that row")
    return paths


def read_images(paths: list[Path], longest: int = 512) -> list[Tensor]:
    """Decode to uint8 tensors (3, H, W), the longer side ``longest`` pixels at most, as :func:`read_rgb` does."""
    return [to_tensor(read_rgb(path, str(path), longest)) for path in paths]


def crops(images: list[Tensor], count: int, side: int, generator: torch.Generator) -> Tensor:
    """``count`` random crops (count, 3, side, side) in [0, 1], at random scales, half of them mirrored."""
    batch = torch.empty(count, 3, side, side)
    for row in range(count):
        image = images[int(torch.randint(len(images), (), generator=generator))]
        height, width = image.shape[1:]
        largest = min(height, width)
        smallest = min(side, largest)
        cut = smallest + int(torch.rand((), generator=generator) * (largest - smallest + 1))
        top = int(torch.randint(height - cut + 1, (), generator=generator))
        left = int(torch.randint(width - cut + 1, (), generator=generator))
        crop = image[None, :, top : top + cut, left : left + cut].float() / 255
        if cut != side:
            crop = F.interpolate(crop, size=(side, side), mode="bilinear", antialias=cut > side, align_corners=False)
        if torch.rand((), generator=generator) < 0.5:
            crop = crop.flip(-1)
        batch[row] = crop[0]
    return batch


def augment(batch: Tensor, generator: torch.Generator) -> Tensor:
    """Noise, mixtures, strong color and hard contrast, as an optimizer shows them to the network.

    Each row of ``batch`` draws its own; about a third stays as it is. The result is clamped to [0, 1].
    """
    count = len(batch)

    def chance(probability: float) -> Tensor:
        return (torch.rand(count, generator=generator) < probability).view(-1, 1, 1, 1)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    # Two pictures in one, as in a half-finished stylization.
    partner = batch[torch.randperm(count, generator=generator)]
    batch = torch.where(chance(0.2), torch.lerp(batch, partner, uniform(0.2, 0.5, 1, 1, 1)), batch)
    # Gain and offset of each channel, and contrast beyond the range, so that clipped areas occur.
    tinted = batch * uniform(0.5, 1.4, 3, 1, 1) + uniform(-0.25, 0.25, 3, 1, 1)
    batch = torch.where(chance(0.3), tinted, batch)
    middle = batch.mean(dim=(2, 3), keepdim=True)
    batch = torch.where(chance(0.2), middle + (batch - middle) * uniform(0.4, 2.5, 1, 1, 1), batch)
    # Noise at one pixel and at a few, colored and gray.
    noise = torch.randn(batch.shape, generator=generator)
    coarse = F.interpolate(noise[:, :, ::3, ::3], size=batch.shape[-2:], mode="bilinear", align_corners=False)
    noise = torch.where(chance(0.3), coarse, noise)
    noise = torch.where(chance(0.3), noise.mean(dim=1, keepdim=True), noise)
    strength = 0.3 * torch.rand(count, 1, 1, 1, generator=generator).square()
    return torch.where(chance(0.4), batch + strength * noise, batch).clamp_(0, 1)
