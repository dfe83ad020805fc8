"""What an auto-encoder knows of a picture's style: means and covariances of its features, and how to exchange them.

Covariances, because the style loss compares Gram matrices. The exchange is the linear optimal transport between
Gaussians: the least motion that gives the content's features the style's mean and covariance (Lu et al. 2019, "A
Closed-form Solution to Universal Style Transfer", arXiv:1906.00668). Only what the TorchScript exporter of ONNX knows:
sums, matrix products, element-wise arithmetic, and ``transpose`` rather than ``mT``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

#: This share of a covariance's mean variance is added to its diagonal: directions that hardly vary are not blown up.
#: The square of what it leaves of the smallest eigenvalue has to stand clear of float32's rounding.
RIDGE = 0.02
#: Enough for the condition numbers that the ridge leaves.
ITERATIONS = 18


class Moments(NamedTuple):
    """The mean (..., C) and covariance (..., C, C; the biased estimate) of a set of feature vectors."""

    mean: Tensor
    covariance: Tensor


def full_precision(tensor: Tensor) -> AbstractContextManager[object]:
    """Switches mixed precision off where it is on: covariances and their roots need float32."""
    device = tensor.device.type
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def moments(features: Tensor, weights: Tensor | None = None) -> Moments:
    """Mean and covariance over the positions of feature maps (B, C, H, W), in float32.

    ``weights`` (B, 1, H, W), at least 0, say how much each position counts: what is transparent counts for nothing.
    """
    with full_precision(features):
        rows = features.float().flatten(2)
        if weights is None:
            mean = rows.mean(2)
            centered = rows - mean[..., None]
            return Moments(mean, centered @ centered.transpose(-2, -1) / rows.shape[2])
        share = weights.flatten(2) / weights.sum((2, 3))[..., None].clamp_min(1e-12)
        mean = (rows * share).sum(2)
        centered = rows - mean[..., None]
        return Moments(mean, (centered * share) @ centered.transpose(-2, -1))


def pool_moments(parts: Sequence[Moments], counts: Sequence[float]) -> Moments:
    """The moments of a whole from those of its parts, which have ``counts`` positions: for pictures in tiles."""
    total = max(sum(counts), 1e-12)
    weighed = [(count / total, part) for count, part in zip(counts, parts, strict=True)]
    mean = torch.stack([share * part.mean for share, part in weighed]).sum(0)
    second = torch.stack([share * (part.covariance + _square(part.mean)) for share, part in weighed]).sum(0)
    return Moments(mean, second - _square(mean))


def _square(mean: Tensor) -> Tensor:
    """The outer product (..., C, C)."""
    return mean[..., :, None] * mean[..., None, :]


def blend_moments(first: Moments, second: Moments, weight: float | Tensor) -> Moments:
    """From ``first`` (weight 0) to ``second`` (weight 1)."""
    return Moments(*(one + weight * (other - one) for one, other in zip(first, second, strict=True)))


def matrix_roots(matrix: Tensor, iterations: int = ITERATIONS) -> tuple[Tensor, Tensor]:
    """Square root and inverse square root of symmetric positive definite matrices (..., C, C).

    Coupled Newton-Schulz iteration (Higham 2008, "Functions of Matrices", eq. 6.35; Lin and Maji 2017,
    arXiv:1707.06772): matrix products only, and its gradient is well-behaved where eigenvalues meet.
    """
    scale = matrix.square().sum(dim=(-2, -1), keepdim=True).sqrt().clamp_min(1e-12)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    Y, Z = matrix / scale, identity.expand_as(matrix)
    for _ in range(iterations):
        T = 1.5 * identity - 0.5 * (Z @ Y)
        Y, Z = Y @ T, T @ Z
    return Y * scale.sqrt(), Z / scale.sqrt()


def transport(content: Moments, style: Moments, ridge: float = RIDGE) -> tuple[Tensor, Tensor]:
    """The affine map that gives features with the moments ``content`` the moments ``style``; for ``ridge`` see RIDGE.

    Returns:
        A (..., C, C), symmetric, and b (..., C): the map is x ↦ A x + b. Equal moments give the identity.
    """
    C, S = _ridged(content.covariance, ridge), _ridged(style.covariance, ridge)
    root, inverse = matrix_roots(C)
    middle, _ = matrix_roots(root @ S @ root)
    A = inverse @ middle @ inverse
    return A, style.mean - (A @ content.mean[..., None])[..., 0]


def _ridged(covariance: Tensor, ridge: float) -> Tensor:
    identity = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
    variance = (covariance * identity).sum(dim=(-2, -1), keepdim=True) / covariance.shape[-1]
    # The constant keeps a picture of one color, which varies nowhere, from dividing by zero.
    return covariance + (ridge * variance + 1e-6) * identity
