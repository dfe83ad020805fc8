"""A preconditioner that knows coarse patterns from fine ones.

Style and content losses are far more curved along some spatial frequencies than along others, and along brightness than
along color, but much the same everywhere in the picture: a filter, diagonal in the Fourier basis, models that. Its
values come from the steps of L-BFGS: spectra of displacements s and gradient changes y, summed over frequency rings.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from impasto.losses import Normalization

#: Rings of spatial frequency, from one wave per picture to the finest checkerboard, in equal ratios.
RINGS = 10
HIGHEST = math.sqrt(0.5)
#: How much of what was known stays when a new pair comes.
MEMORY = 0.8
#: A ring's factor is at most this many times larger or smaller than a plain factor for all rings would be: what seems
#: flat is mostly the noise of kinks. Under the article's factors a limit costs 1.5 % of the loss after 400 steps.
LIMITS: dict[Normalization, float] = {"relative": 4.0, "gatys": math.inf}
#: Color is painted in full below the first frequency, in waves a pixel, and not at all above the second, which is half
#: of Nyquist's: the losses hardly see such color, and eyes see it as speckle.
FINE_COLOR = 0.1, 0.25
#: Brightness, and two axes of color at right angles to it.
AXES = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))


def accumulate(known: Tensor | None, s: Tensor, y: Tensor) -> Tensor:
    """Sums (3, 3, RINGS): s·s and y·y by color axis and ring, where ``known`` ones fade, and y·y of this pair alone."""
    return fade(known, *_ring_sums(_spectrum(torch.cat([s, y])).abs().square(), s))


def fade(known: Tensor | None, ss: Tensor, yy: Tensor) -> Tensor:
    """The sums of a new pair (3, RINGS) join those of the pairs before."""
    if known is None:
        return torch.stack([ss, yy, yy])
    return torch.stack([MEMORY * known[0] + ss, MEMORY * known[1] + yy, yy])


def precondition(gradient: Tensor, known: Tensor, curvature: float, limit: float) -> Tensor:
    """Divide ``gradient`` (1, 3, h, w) by the curvature along each color axis and ring.

    It is taken as ‖y‖ / ‖s‖, never below s·y / ‖s‖²: max pooling makes gradients jump, and longer steps end in loops.
    ``known`` is from :func:`accumulate`, ``limit`` one of :data:`LIMITS`. ``curvature`` is s·y of the newest pair: the
    filter H is scaled so that y·H y = s·y, as L-BFGS expects. What is left out is the finest color, see FINE_COLOR.
    """
    weights, shape = _rings(*gradient.shape[-2:], gradient.device), (3, gradient.shape[-2], -1)
    response = (inverse_curvature(known, curvature, limit, max(gradient.shape[-2:])) @ weights).view(shape)
    filtered = torch.fft.irfft2(_spectrum(gradient) * response, s=gradient.shape[-2:], norm="ortho")
    return torch.einsum("ij,bihw->bjhw", axes(gradient), filtered)


def unknown(square: float, device: torch.device) -> Tensor:
    """Sums like those of :func:`accumulate` where nothing is known but y·y of the newest pair: all rings are alike."""
    known = torch.ones(3, 3, RINGS, device=device)
    # All of it in brightness, of which nothing is left out: the scale is then the plain one.
    known[2, 0], known[2, 1:] = square / RINGS, 0
    return known


def inverse_curvature(known: Tensor, curvature: float, limit: float, longest: int) -> Tensor:
    """What :func:`precondition` multiplies color axes and rings with (3, RINGS), for a side of ``longest`` pixels."""
    ss, yy, newest = known
    tiny = torch.finfo(torch.float32).tiny
    curved = (yy / ss.clamp_min(tiny)).sqrt()
    # Rings that no step has touched hold rounding errors: they count as the least curved ring that one has.
    touched = (ss > 1e-7 * ss.sum()) & (curved > 0)
    inverse = torch.where(touched, 1 / curved.clamp_min(tiny), 0)
    inverse = torch.where(touched, inverse, inverse.max())
    plain = curvature / newest.sum().clamp_min(tiny)
    inverse = inverse * (curvature / (newest * inverse).sum().clamp_min(tiny))
    inverse = inverse.clamp(plain / limit, plain * limit)
    lowest, highest = FINE_COLOR
    frequencies = (1 / longest) ** torch.linspace(1, 0, RINGS) * HIGHEST ** torch.linspace(0, 1, RINGS)
    inverse[1:] *= ((highest - frequencies) / (highest - lowest)).clamp(0, 1).to(inverse)
    return inverse * (curvature / (newest * inverse).sum().clamp_min(tiny))


def axes(image: Tensor) -> Tensor:
    """The color axes (3, 3), of length 1."""
    directions = image.new_tensor(AXES)
    return directions / directions.norm(dim=1, keepdim=True)


def _spectrum(image: Tensor) -> Tensor:
    return torch.fft.rfft2(torch.einsum("ij,bjhw->bihw", axes(image), image), norm="ortho")


def places(height: int, width: int, device: torch.device, columns: slice = slice(None)) -> Tensor:
    """The ring, a fraction from 0 to RINGS - 1, of each frequency (h · columns) of those of rfft2, h · (w // 2 + 1)."""
    down = torch.fft.fftfreq(height, device=device)[:, None]
    across = torch.fft.rfftfreq(width, device=device)[columns]
    lowest = 1 / max(height, width)
    octave = ((down.square() + across.square()).sqrt() / lowest).clamp_min(1).log()
    return (octave * ((RINGS - 1) / math.log(HIGHEST / lowest))).clamp(0, RINGS - 1).flatten()


@lru_cache(maxsize=2)
def _rings(height: int, width: int, device: torch.device) -> Tensor:
    """How far each frequency of rfft2 belongs to each ring (RINGS, h · (w // 2 + 1)): to two neighbors, 1 in all."""
    rings = torch.arange(RINGS, device=device)[:, None]
    return (1 - (places(height, width, device) - rings).abs()).clamp_min_(0)


def _ring_sums(values: Tensor, image: Tensor) -> Tensor:
    """Sums (B, 3, RINGS) over the whole spectrum, of which rfft2 keeps half, of ``values`` (B, 3, h, w // 2 + 1)."""
    # Twice, but for the columns that are their own mirror images. A matrix product, as a scatter sums in any order.
    single = [0, -1] if image.shape[-1] % 2 == 0 else [0]
    values = 2 * values
    values[..., single] /= 2
    return values.flatten(2) @ _rings(*image.shape[-2:], image.device).T
