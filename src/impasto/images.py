"""Files <-> image tensors: orientation, color profile, alpha, 16 bit, limits, atomic writes."""

from __future__ import annotations

import hashlib
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from impasto import gallery
from impasto.errors import ImpastoError
from impasto.files import tiff
from impasto.files.atomic import check_writable, write_atomically
from impasto.files.decoding import decode_file, decode_pil
from impasto.files.encoding import FORMATS, KEYWORD, LARGEST_SIDE, embedded_text, encode
from impasto.files.formats import AVIF
from impasto.files.hashing import stream_sha256
from impasto.files.opening import check_size, guarded, open_file, open_image
from impasto.settings import Settings

#: The most pixels that are decoded by default.
MAX_PIXELS = Settings.max_pixels

#: What a picture may be given as.
Source = str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | Tensor | NDArray[Any]

_STRIP = 256  # Rows that are rounded at a time.
_ROUNDING = 2.5 / 255  # How far the channels of a gray pixel of a JPEG are from each other.
_SLACK = 1e-3  # How far rounding may take a tensor out of [0, 1].


@dataclass(frozen=True)
class Picture:
    """A picture that was read.

    Attributes:
        tensor: (1, 3, H, W) float32, sRGB in [0, 1], upright, on the CPU, over the mean of the visible colors.
        alpha: (1, 1, H, W) float32 in [0, 1]; None where the source has no alpha channel.
        name: the path, or ``gallery:NAME``, as the user gave it; "" for a PIL image or a tensor.
        sha256: of the file's bytes; of the pixels where there was no file.
        notices: plain lines worth telling.
        credit: artist and copyright, by EXIF's numbers, where the file tells them.
    """

    tensor: Tensor
    alpha: Tensor | None
    name: str
    sha256: str
    notices: tuple[str, ...] = ()
    credit: Mapping[int, str] = field(default_factory=dict)

    @property
    def planes(self) -> Tensor:
        """The picture, (1, 4, H, W) with its alpha channel last, or (1, 3, H, W) where nothing is transparent."""
        if self.alpha is None or bool((self.alpha == 1).all()):
            return self.tensor
        return torch.cat([self.tensor, self.alpha], dim=1)

    def with_planes(self, planes: Tensor) -> Picture:
        """The same picture with other :attr:`planes`, such as smaller ones."""
        tensor, alpha = split_alpha(planes)
        return replace(self, tensor=tensor, alpha=self.alpha if alpha is None else alpha)

    @property
    def gray(self) -> bool:
        """Whether it has no colors, but for what a file's rounding leaves."""
        low, high = self.tensor.aminmax(dim=1)
        return bool((high - low).max() <= _ROUNDING)


def split_alpha(planes: Tensor) -> tuple[Tensor, Tensor | None]:
    """Colors (1, 3, H, W) and alpha channel (1, 1, H, W), if there is one, of :attr:`Picture.planes`."""
    return planes[:, :3], planes[:, 3:] if planes.shape[1] > 3 else None


def listed(styles: Source | Sequence[Source]) -> list[Source]:
    """One painting or several, as a list."""
    alone = isinstance(styles, str | bytes | os.PathLike | Image.Image | Tensor | np.ndarray) or hasattr(styles, "read")
    return [styles] if alone else list(styles)  # type: ignore[list-item, arg-type]


def load_image(source: Source, *, max_pixels: int = MAX_PIXELS, role: str = "image") -> Picture:
    """Read a picture.

    Files may be JPEG, PNG, WebP or TIFF in any bit depth and color mode, or GIF, BMP, JPEG 2000, AVIF, PSD, PPM, ICO,
    QOI and TGA, with the extras ``heif`` and ``jxl`` HEIC and JPEG XL. EXIF's orientation is applied and an embedded
    color profile is converted to sRGB. The first frame of an animation is taken and a broken color profile is ignored,
    both with a notice.

    Args:
        source: a path, ``gallery:NAME``, the bytes of a file or an open one, a PIL image, a tensor (3, H, W) or
            (1, 3, H, W) of floats in [0, 1], or an array (H, W, 3) of floats in [0, 1] or of uint8.
        max_pixels: the most pixels to decode; held against the header before anything is decoded.
        role: what to call the picture in messages: content, style, ...

    Raises:
        ImpastoError: missing, not in the gallery, a folder, empty, not an image, damaged, less than 2 pixels wide or
            high, or more than ``max_pixels``; a tensor of another shape or type, with NaN or Inf, or out of range.
    """
    label, name, sha256 = role, "", ""
    if isinstance(source, np.ndarray):
        source = _from_array(source, role)
    if isinstance(source, Tensor):
        tensor = _checked(source, role, max_pixels, smallest=2)
        return Picture(tensor, None, name, _hash_pixels(tensor, None))
    if isinstance(source, Image.Image):
        pixels = decode_pil(source, role, max_pixels)
    elif isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        label = f"{role} {name}"
        with open_file(gallery.resolve(name), label) as file:
            pixels, sha256 = decode_file(file, label, max_pixels), stream_sha256(file)
    elif isinstance(source, bytes) or hasattr(source, "read"):
        file = _whole(source, role)
        pixels, sha256 = decode_file(file, role, max_pixels), stream_sha256(file)
    else:
        kind = type(source).__name__
        what = "give a path, bytes, an open file, a PIL image, a tensor or an array"
        raise ImpastoError(f"{role}: {kind} is no picture; {what}")
    tensor = torch.from_numpy(pixels.color)[None]
    alpha = None if pixels.alpha is None else torch.from_numpy(pixels.alpha)[None]
    notices = tuple(f"{label}: {notice}" for notice in pixels.notices)
    return Picture(tensor, alpha, name, sha256 or _hash_pixels(tensor, alpha), notices, pixels.credit)


def to_pil(image: Tensor, alpha: Tensor | None = None) -> Image.Image:
    """A PIL image with 8 bits a channel, rounded; RGBA where there is an alpha channel.

    The image is (1, 3, H, W) or (3, H, W) in [0, 1], alpha (1, 1, H, W) in [0, 1].

    Raises:
        ImpastoError: as ``load_image`` does for tensors, or the two sizes differ.
    """
    return Image.fromarray(_quantized(image, alpha, 8))


def save_image(
    target: str | os.PathLike[str] | IO[bytes],
    image: Tensor,
    *,
    alpha: Tensor | None = None,
    depth: int = 8,
    recipe: str | None = None,
    force: bool = False,
    quality: int = 95,
    kind: str | None = None,
    credit: Mapping[int, str] | None = None,
) -> None:
    """Write a picture file, all of it or nothing; the same arguments give the same bytes.

    JPEG (4:4:4) has no alpha channel: the picture is flattened onto white.

    Args:
        target: a path that ends in .png, .jpg, .jpeg, .webp, .tif, .tiff or .avif, which says the format, or a file
            that is open for writing bytes.
        image: (1, 3, H, W) or (3, H, W), sRGB in [0, 1].
        alpha: (1, 1, H, W) in [0, 1].
        depth: bits a channel: 8, or 16 for PNG and TIFF.
        recipe: text to embed, see ``read_recipe_text``.
        force: replace an existing file.
        quality: of JPEG, WebP and AVIF, 1 to 100.
        kind: of an open file: png, jpeg, webp, tiff or avif; by default what the ending of its name says, or png.
        credit: artist and copyright to embed, by EXIF's numbers.

    Raises:
        ImpastoError: as ``check_output_path`` and ``to_pil``, or the file cannot be written.
    """
    path, longest = (target, max(image.shape[-2:])) if isinstance(target, str | os.PathLike) else (None, 0)
    if path is not None:
        check_output_path(path, force=force, depth=depth, longest=longest)
        kind = FORMATS[Path(path).suffix.lower()]
    else:
        name = getattr(target, "name", "")
        kind = kind or FORMATS.get(Path(name).suffix.lower() if isinstance(name, str) else "", "png")
        _check_kind("the open file", kind, depth, max(image.shape[-2:]))
    if not 1 <= quality <= 100:
        raise ImpastoError(f"quality: {quality} is not between 1 and 100")
    if kind == "jpeg" and alpha is not None:
        image, alpha = image * alpha + (1 - alpha), None
    data = encode(_quantized(image, alpha, depth), kind, recipe, quality, credit)
    if path is not None:
        write_atomically(Path(path), data, replace=force)
    else:
        target.write(data)  # type: ignore[union-attr]


def check_output_path(path: str | os.PathLike[str], *, force: bool, depth: int, longest: int = 0) -> None:
    """Refuse, before any work is done, what ``save_image`` could not write; ``longest`` is the longer side, if known.

    Raises:
        ImpastoError: an ending that is not supported, 16 bits for a format that has 8, more pixels a side than it can
            have, a folder that is missing or cannot be written to, or a file that exists already without ``force``.
    """
    path = Path(path)
    kind = FORMATS.get(path.suffix.lower())
    check_writable(path)
    if kind is None:
        raise ImpastoError(f"{path}: '{path.suffix}' is not supported; end the name in one of {', '.join(FORMATS)}")
    _check_kind(path, kind, depth, longest)
    if path.exists() and not force:
        raise ImpastoError(f"{path}: exists already; give `force` to replace it")


def _check_kind(name: object, kind: str, depth: int, longest: int) -> None:
    if kind not in FORMATS.values():
        raise ImpastoError(f"{kind!r} is unknown; give one of {', '.join(dict.fromkeys(FORMATS.values()))}", "kind")
    if kind == "avif" and not AVIF:
        raise ImpastoError(f"{name}: this Pillow writes no AVIF; update it, or save the picture as .png")
    if depth not in (8, 16):
        raise ImpastoError(f"depth: {depth} bits are not supported; take 8 or 16")
    if depth == 16 and kind not in ("png", "tiff"):
        raise ImpastoError(f"{name}: {kind} has no 16 bits a channel; save it as .png or .tiff")
    most = LARGEST_SIDE.get(kind, longest)
    if longest > most:
        raise ImpastoError(f"{name}: {kind} has at most {most} pixels a side; save it as .png or .tiff")


def image_size(path: str | Path, max_pixels: float = MAX_PIXELS) -> tuple[int, int]:
    """Width and height of a picture file, or ``gallery:NAME``, from its header.

    Raises:
        ImpastoError: the file is missing, no image, or has more than ``max_pixels``.
    """
    label = os.fspath(path)
    with open_file(gallery.resolve(path), label) as file, guarded(label):
        page = tiff.first_page(file, label, lambda size: None)
        if page is not None:
            return page.imagewidth, page.imagelength
        return open_image(file, label, max_pixels).image.size


def read_recipe_text(path: str | Path) -> str | None:
    """The text that ``save_image`` embedded, or None: PNG's chunk ``impasto``, elsewhere the XMP property ``recipe``.

    Raises:
        ImpastoError: the file is missing or no image.
    """
    label = os.fspath(path)
    with open_file(Path(path), label) as file, guarded(label):
        return embedded_text(
            open_image(file, label, math.inf, keyword=KEYWORD.encode(), extras=False).image, MAX_PIXELS
        )


def fit_size(height: int, width: int, longest: int, max_pixels: int | None = None) -> tuple[int, int]:
    """(height, width) scaled so that the longest side is ``longest``; 0 keeps the size. No side gets below 1.

    Raises:
        ImpastoError: ``longest`` is negative, or makes more than ``max_pixels``.
    """
    if longest < 0:
        raise ImpastoError(f"{longest} is negative; give the longest side in pixels, or 0 to keep the size", "size")
    if longest == 0:
        return height, width
    long = max(height, width)
    # Rounded half up, in integers.
    h, w = (max(1, (2 * side * longest + long) // (2 * long)) for side in (height, width))
    if max_pixels is not None and h * w > max_pixels:
        what = f"{longest} makes {w} x {h} pixels, more than the limit of {max_pixels}"
        raise ImpastoError(f"{what}; give a smaller one or a larger `max_pixels`", setting="size")
    return h, w


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic and antialiased, clamped to [0, 1]: (B, C, H, W) -> (B, C, *size)."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return F.interpolate(image, size=tuple(size), mode="bicubic", align_corners=False, antialias=True).clamp_(0, 1)


def _whole(source: bytes | IO[bytes], label: str) -> IO[bytes]:
    """All of a file that was given as bytes, or open, from where it stands."""
    if isinstance(source, bytes):
        data: object = source
    else:
        try:
            data = source.read()
        except (OSError, ValueError) as error:
            raise ImpastoError(f"{label}: the file cannot be read ({error}); open it anew") from error
    if not isinstance(data, bytes):
        raise ImpastoError(f"{label}: the file gives {type(data).__name__}; open it with 'rb'")
    if not data:
        raise ImpastoError(f"{label}: is empty (0 bytes); copy or export it again")
    return io.BytesIO(data)


def _from_array(array: NDArray[Any], label: str) -> Tensor:
    """An array (H, W, 3) as a tensor (3, H, W)."""
    if array.ndim != 3 or array.shape[2] != 3:
        raise ImpastoError(f"{label}: an array of shape {array.shape}; give (height, width, 3)")
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise ImpastoError(f"{label}: an array of {array.dtype}; give floats in [0, 1], or uint8")
    planes = torch.from_numpy(np.array(array.transpose(2, 0, 1), np.float32, order="C"))
    return planes / 255 if array.dtype == np.uint8 else planes


def _checked(
    image: Tensor, label: str, max_pixels: float = math.inf, *, smallest: int = 1, channels: int = 3
) -> Tensor:
    """(1, channels, H, W) float32 in [0, 1] on the CPU: a copy."""
    shape = tuple(image.shape)
    batch = (1, *shape) if image.ndim == 3 else shape
    if len(batch) != 4 or batch[:2] != (1, channels):
        raise ImpastoError(f"{label}: a tensor of shape {shape}; give (1, {channels}, height, width)")
    if not image.is_floating_point():
        raise ImpastoError(f"{label}: a tensor of {image.dtype}; give floats in [0, 1]")
    check_size((batch[3], batch[2]), label, max_pixels, smallest)
    tensor = image.detach().to("cpu", torch.float32).reshape(batch)
    low, high = tensor.min().item(), tensor.max().item()
    if not torch.isfinite(tensor).all():
        raise ImpastoError(f"{label}: a tensor with NaN or Inf; give floats in [0, 1]")
    if low < -_SLACK or high > 1 + _SLACK:
        raise ImpastoError(f"{label}: a tensor with values from {low:.4g} to {high:.4g}; scale them to [0, 1]")
    return tensor.clamp(0, 1).contiguous()


def _quantized(image: Tensor, alpha: Tensor | None, depth: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(H, W, 3 or 4), uint8 or uint16, rounded."""
    planes = _checked(image, "image")
    if alpha is not None:
        opacity = _checked(alpha, "alpha", channels=1)
        if opacity.shape[2:] != planes.shape[2:]:
            size, other = tuple(opacity.shape[2:]), tuple(planes.shape[2:])
            raise ImpastoError(f"alpha: size {size} differs from the image's {other}")
        planes = torch.cat([planes, opacity], dim=1)
    rows = planes[0].permute(1, 2, 0).numpy()
    samples = np.empty(rows.shape, np.uint8 if depth == 8 else np.uint16)
    # In strips: the floats of a large picture fill much of the memory.
    for top in range(0, len(rows), _STRIP):
        samples[top : top + _STRIP] = np.rint(rows[top : top + _STRIP] * np.float32(2**depth - 1))
    return samples


def _hash_pixels(tensor: Tensor, alpha: Tensor | None) -> str:
    digest = hashlib.sha256(repr(tuple(tensor.shape)).encode())
    for planes in (tensor, alpha):
        if planes is not None:
            digest.update(planes.numpy().data)
    return digest.hexdigest()
