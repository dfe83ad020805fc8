"""Where the optimizer's vectors are: in memory, or in strips on the disk.

A vector has as many numbers as the picture, and L-BFGS remembers twenty and more. The algorithm is the same for both;
what it does to whole vectors is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.refine import spectrum
from impasto.refine.pyramid import carry_over
from impasto.refine.shelf import StoredVector, pieces

#: How many pairs of displacement and gradient change L-BFGS remembers: in memory, and on the disk, where each takes 24
#: bytes a pixel.
HISTORY, DISK_HISTORY = 10, 5
#: L-BFGS moves no pixel further than this in one step.
FARTHEST = 0.15

Vector = Tensor | StoredVector
Vectors = tuple[Vector, ...]
#: Picture, gradient, vectors remembered -> the next picture and vectors.
Rule = Callable[[Tensor, Tensor, Vectors], tuple[Tensor, tuple[Tensor, ...]]]


class Space:
    """Vectors are tensors (1, 3, h, w)."""

    history = HISTORY

    def keep(self, tensor: Tensor) -> Vector:
        """``tensor``, for the memory."""
        return tensor

    def enlarged(self, vector: Vector, size: tuple[int, int], divisor: float) -> Vector:
        """The vector at the next scale, divided."""
        return carry_over(_tensor(vector), size) / divisor

    def minus(self, tensor: Tensor, kept: Vector) -> Vector:
        """``tensor`` - ``kept``."""
        return tensor - _tensor(kept)

    def dot(self, a: Vector, b: Vector) -> float:
        """The inner product."""
        return sum(torch.dot(one.flatten(), other.flatten()).item() for one, other in self._parts(a, b))

    def free(self, image: Tensor, gradient: Tensor) -> Tensor:
        """The gradient, but 0 at a pixel at the edge of the range that wants to leave it. It may be overwritten."""
        return gradient.masked_fill(_stuck(image, gradient), 0)

    def size(self, tensor: Tensor) -> float:
        """The mean of all absolute values."""
        return tensor.abs().mean().item()

    def add(self, tensor: Tensor, kept: Vector, factor: float) -> None:
        """Add ``factor`` times ``kept`` to ``tensor``."""
        for part, addend in self._parts(tensor, kept):
            part.add_(addend, alpha=factor)

    def accumulate(self, known: Tensor | None, s: Vector, y: Vector) -> Tensor:
        """:func:`impasto.refine.spectrum.accumulate`."""
        return spectrum.accumulate(known, _tensor(s), _tensor(y))

    def precondition(self, tensor: Tensor, known: Tensor, curvature: float, limit: float) -> Tensor:
        """:func:`impasto.refine.spectrum.precondition`. ``tensor`` may be overwritten."""
        return spectrum.precondition(tensor, known, curvature, limit)

    def moved(self, image: Tensor, direction: Tensor) -> Tensor:
        """The picture against ``direction``, no pixel further than FARTHEST. ``direction`` may be overwritten."""
        return (image - direction.clamp_(-FARTHEST, FARTHEST)).clamp_(0, 1)

    def elementwise(self, rule: Rule, image: Tensor, gradient: Tensor, vectors: Vectors) -> tuple[Tensor, Vectors]:
        """The new picture and vectors by a rule that treats every number alike. ``gradient`` may be overwritten."""
        return rule(image, gradient, vectors)

    def _parts(self, *vectors: Vector) -> Iterator[tuple[Tensor, ...]]:
        """Corresponding parts of vectors as large as each other; those of tensors are views."""
        yield tuple(map(_tensor, vectors))


class _Strips(Space):
    """What is remembered is on the disk; the picture and its gradient, which the next picture overwrites, are not."""

    history = DISK_HISTORY

    def keep(self, tensor: Tensor) -> Vector:
        return StoredVector.of(tensor)

    def enlarged(self, vector: Vector, size: tuple[int, int], divisor: float) -> Vector:
        old_height, old_width = vector.shape[-2:]
        height, width = size
        larger = StoredVector((1, 3, height, width), vector.dtype, vector.device)
        vector = vector.contiguous() if isinstance(vector, Tensor) else vector
        # As carry_over does it, but row by row: bilinear, the centers of pixels aligned.
        centers = (torch.arange(height, dtype=torch.float64) + 0.5) * (old_height / height)
        place = (centers - 0.5).clamp_(0, old_height - 1)
        above = place.long()
        below = (above + 1).clamp_(max=old_height - 1)
        for channel in range(3):
            for top, bottom in pieces(height, max(width, old_width)):
                rows, start = slice(top, bottom), channel * old_height
                first, last = int(above[rows][0]), int(below[rows][-1]) + 1
                lines = _piece(vector, (start + first) * old_width, (start + last) * old_width).view(-1, old_width)
                share = (place - above)[rows, None].to(lines)
                mixed = torch.lerp(lines[above[rows] - first], lines[below[rows] - first], share)
                wide = carry_over(mixed[None, None], (len(mixed), width)).flatten() / divisor
                larger.write((channel * height + top) * width, wide)
        return larger

    def minus(self, tensor: Tensor, kept: Vector) -> Vector:
        difference = StoredVector.like(tensor)
        for start, stop in pieces(tensor.numel()):
            difference.write(start, _piece(tensor, start, stop) - _piece(kept, start, stop))
        return difference

    def free(self, image: Tensor, gradient: Tensor) -> Tensor:
        for pixels, part in self._parts(image, gradient):
            part.masked_fill_(_stuck(pixels, part), 0)
        return gradient

    def size(self, tensor: Tensor) -> float:
        return sum(part.abs().sum().item() for (part,) in self._parts(tensor)) / tensor.numel()

    def accumulate(self, known: Tensor | None, s: Vector, y: Vector) -> Tensor:
        height, width = s.shape[-2:]
        sums = []
        for vector in (s, y):
            energies = torch.zeros(3, spectrum.RINGS, dtype=torch.float64)
            for axis in range(3):
                waves = _rows_transformed(vector, axis)
                for columns, ring, share in _ring_blocks(waves, height, width):
                    energy = torch.fft.fft(waves[:, columns], dim=0, norm="ortho").abs().square()
                    # Twice, as rfft keeps half; but for the columns that are their own mirror images.
                    mirrored = torch.arange(columns.start, columns.stop, device=energy.device)
                    energy *= torch.where((mirrored == 0) | (2 * mirrored == width), 1.0, 2.0)
                    for number, part in ((ring, 1 - share), (ring + 1, share)):
                        found = torch.bincount(number, (energy.flatten() * part).double(), spectrum.RINGS + 1)
                        energies[axis] += found[: spectrum.RINGS].cpu()
            sums.append(energies.to(torch.float32).to(s.device))
        return spectrum.fade(known, *sums)

    def precondition(self, tensor: Tensor, known: Tensor, curvature: float, limit: float) -> Tensor:
        height, width = tensor.shape[-2:]
        inverse, axes = spectrum.inverse_curvature(known, curvature, limit, max(height, width)), spectrum.axes(tensor)
        most = inverse.max()
        tensor *= most
        # To ring 10, which does not exist, nothing belongs.
        change_of = F.pad(inverse / most - 1, (0, 1))
        # The axes are at right angles: what one of them gains does not show on the others.
        for axis in range(3):
            waves = _rows_transformed(tensor, axis)
            for columns, ring, share in _ring_blocks(waves, height, width):
                block = torch.fft.fft(waves[:, columns], dim=0, norm="ortho")
                block *= torch.lerp(change_of[axis][ring], change_of[axis][ring + 1], share).view(height, -1)
                waves[:, columns] = torch.fft.ifft(block, dim=0, norm="ortho")
            for top, bottom in pieces(height, 3 * width):
                change = torch.fft.irfft(waves[top:bottom], n=width, norm="ortho")
                tensor[0, :, top:bottom] += axes[axis, :, None, None] * change
        return tensor

    def moved(self, image: Tensor, direction: Tensor) -> Tensor:
        return direction.clamp_(-FARTHEST, FARTHEST).neg_().add_(image).clamp_(0, 1)

    def elementwise(self, rule: Rule, image: Tensor, gradient: Tensor, vectors: Vectors) -> tuple[Tensor, Vectors]:
        kept: list[StoredVector] = []
        for start, stop in pieces(image.numel()):
            pixels, slope, *before = (_piece(vector, start, stop) for vector in (image, gradient, *vectors))
            part, after = rule(pixels, slope, tuple(before))
            kept = kept or [StoredVector.like(image) for _ in after]
            for stored, numbers in zip(kept, after, strict=True):
                stored.write(start, numbers)
            slope.copy_(part)
        return gradient, tuple(kept)

    def _parts(self, *vectors: Vector) -> Iterator[tuple[Tensor, ...]]:
        for start, stop in pieces(vectors[0].shape.numel()):
            yield tuple(_piece(vector, start, stop) for vector in vectors)


IN_MEMORY, ON_DISK = Space(), _Strips()


def _tensor(vector: Vector) -> Tensor:
    assert isinstance(vector, Tensor)
    return vector


def _piece(vector: Vector, start: int, stop: int) -> Tensor:
    """Numbers of a vector, in order; a view of a tensor."""
    return vector.read(start, stop) if isinstance(vector, StoredVector) else vector.view(-1)[start:stop]


def _stuck(image: Tensor, gradient: Tensor) -> Tensor:
    return ((image <= 0) & (gradient > 0)) | ((image >= 1) & (gradient < 0))


def _rows_transformed(vector: Vector, axis: int) -> Tensor:
    """The Fourier transform of every row, (h, w // 2 + 1) complex, of a color axis: a third of the room of a vector."""
    height, width = vector.shape[-2:]
    channels = range(0, 3 * height * width, height * width)
    waves = torch.empty(height, width // 2 + 1, dtype=torch.complex64, device=vector.device)
    for top, bottom in pieces(height, 3 * width):
        rows = torch.stack([_piece(vector, first + top * width, first + bottom * width) for first in channels])
        mixed = (spectrum.axes(rows)[axis] @ rows).view(-1, width)
        waves[top:bottom] = torch.fft.rfft(mixed, norm="ortho")
    return waves


def _ring_blocks(waves: Tensor, height: int, width: int) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Blocks of columns; for each frequency, the lower of its two rings, and how far it belongs to the other one."""
    for left, right in pieces(waves.shape[1], height):
        columns = slice(left, right)
        place = spectrum.places(height, width, waves.device, columns)
        ring = place.long()
        yield columns, ring, place - ring
