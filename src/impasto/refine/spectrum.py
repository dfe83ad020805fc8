"""A preconditioner that knows coarse patterns from fine ones.

Style and content losses are far more curved along some spatial frequencies than along others, and along brightness than
along color, while their curvature hardly depends on where in the picture one looks. A filter, diagonal in the Fourier
basis, can therefore say what no factor and no per-pixel scale can. Its values come from the steps that L-BFGS takes
anyway: s is a displacement, y the change of the gradient, and their spectra are summed over rings of frequencies.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["accumulate", "precondition"]

#: Rings of spatial frequency, from one wave per picture to the finest checkerboard, in equal ratios.
RINGS = 10
#: How much of what was known stays when a new pair comes.
MEMORY = 0.8
#: Brightness, and two axes of color at right angles to it.
AXES = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))


def accumulate(known: Tensor | None, s: Tensor, y: Tensor) -> Tensor:
    """Sums of s·s and y·y for every color axis and ring, (2, 3, RINGS): ``known`` ones fade, a pair is added.

    Args:
        known: what this function returned before.
        s: displacement of the picture (1, 3, h, w).
        y: change of the gradient (1, 3, h, w).
    """
    sums = torch.stack([_ring_sums(_spectrum(v).abs().square(), v) for v in (s, y)])
    return sums if known is None else MEMORY * known + sums


def precondition(gradient: Tensor, known: Tensor, y: Tensor, curvature: float) -> Tensor:
    """Divide ``gradient`` (1, 3, h, w) by the curvature along each color axis and ring.

    The curvature is taken as ‖y‖ / ‖s‖, which is never below s·y / ‖s‖²: max pooling makes gradients jump, and steps as
    long as the mean curvature allows end in loops.

    Args:
        gradient: what to divide.
        known: from :func:`accumulate`.
        y: the newest change of the gradient, and
        curvature: its s·y: the filter H is scaled so that y·H y = s·y, as L-BFGS expects.
    """
    ss, yy = known
    tiny = torch.finfo(torch.float32).tiny
    curved = (yy / ss.clamp_min(tiny)).sqrt()
    # Rings that no step has touched hold rounding errors: they count as the least curved ring that one has.
    touched = (ss > 1e-7 * ss.sum()) & (curved > 0)
    inverse = torch.where(touched, 1 / curved.clamp_min(tiny), 0)
    inverse = torch.where(touched, inverse, inverse.max())
    energy = (_ring_sums(_spectrum(y).abs().square(), y) * inverse).sum()
    inverse = inverse * (curvature / energy.clamp_min(tiny))
    low, share = _rings(gradient)
    response = torch.lerp(inverse[:, low], inverse[:, low + 1], share)
    filtered = torch.fft.irfft2(_spectrum(gradient) * response, s=gradient.shape[-2:], norm="ortho")
    return torch.einsum("ij,ihw->jhw", _axes(gradient), filtered)[None]


def _axes(image: Tensor) -> Tensor:
    axes = image.new_tensor(AXES)
    return axes / axes.norm(dim=1, keepdim=True)


def _spectrum(image: Tensor) -> Tensor:
    return torch.fft.rfft2(torch.einsum("ij,bjhw->bihw", _axes(image), image)[0], norm="ortho")


def _rings(image: Tensor) -> tuple[Tensor, Tensor]:
    """For each frequency the ring below it, and how far it is on the way to the next."""
    height, width = image.shape[-2:]
    down = torch.fft.fftfreq(height, device=image.device)[:, None]
    across = torch.fft.rfftfreq(width, device=image.device)
    lowest = 1 / max(height, width)
    octave = ((down.square() + across.square()).sqrt() / lowest).clamp_min(1).log()
    place = (octave * ((RINGS - 1) / math.log(math.sqrt(0.5) / lowest))).clamp(0, RINGS - 1)
    low = place.floor().clamp_max(RINGS - 2)
    return low.long(), place - low


def _ring_sums(values: Tensor, image: Tensor) -> Tensor:
    """Sums (3, RINGS) over the whole spectrum, of which rfft2 keeps half, of ``values`` (3, h, w // 2 + 1)."""
    low, share = _rings(image)
    twice = torch.full_like(share, 2.0)
    twice[:, 0] = 1
    if image.shape[-1] % 2 == 0:
        twice[:, -1] = 1
    values = values * twice
    # A product with a matrix of shares, not a scatter: the order of a scatter's sums is not always the same.
    rows = torch.zeros(RINGS, low.numel(), device=image.device)
    every = torch.arange(low.numel(), device=image.device)
    rows[low.flatten(), every] = 1 - share.flatten()
    rows[low.flatten() + 1, every] += share.flatten()
    return values.flatten(1) @ rows.T
