"""What keeps the painting's composition from coming along: a style is a texture, and has no places.

In a small picture a deep layer has few positions for its many channels, and zero padding shows it where the border is:
the Gram matrix of so few all but fixes the maps, and the painting's figure, horizon and frame return where they were.
So the target of small scales is the mean over mirrored copies of the painting, and a layer counts as far as it has
positions.

What belongs above stays above where both pictures agree on that. A landscape and a painting that are both bright over
dark, say, take only the copies that stand upright: a sky gets the painting's sky.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from impasto.images import resize
from impasto.losses import mirrored_copies

#: Longest side of a scale, in pixels, up to which there are copies. Above, positions are many and copies are dear.
LARGEST = 512
#: Positions of a layer from which on it counts in full.
ENOUGH = 256
#: Two layouts that agree less than the first number are not alike; from the second on they are.
UNLIKE, ALIKE = 0.11, 0.2
#: Rows and columns of a layout.
COARSE = 12


def copies(style: Tensor, photograph: Tensor) -> Iterator[tuple[Tensor, float]]:
    """Copies of a painting (1, 3, h, w), or with an alpha channel as a fourth, and the share of each, 1 in all."""
    if max(photograph.shape[-2:]) > LARGEST:
        yield style, 1.0
        return
    upright = upright_share(photograph[:, :3], style[:, :3])
    for index, copy in enumerate(mirrored_copies(style)):
        share = (upright if index < 2 else 1 - upright) / 2
        if share:
            yield copy, share


def upright_share(photograph: Tensor, style: Tensor) -> float:
    """What the copies that stand upright count together: from a half, up to 1 where the pictures are laid out alike.

    Compared are the correlations of light and colors, at a few places, with the painting upright and upside down.
    """
    theirs = _layout(photograph)
    correlations = [torch.cosine_similarity(theirs, _layout(copy), dim=0).item() for copy in mirrored_copies(style)]
    above, below = (sum(pair) / 2 for pair in (correlations[:2], correlations[2:]))
    # Squared: a weak agreement is none.
    agreement = above * abs(above) - below * abs(below)
    return 0.5 + 0.5 * min(1.0, max(0.0, (agreement - UNLIKE) / (ALIKE - UNLIKE)))


def _layout(picture: Tensor) -> Tensor:
    """Where light and colors of (1, 3, H, W) are, and how much they are above or below their mean."""
    coarse = resize(picture, (COARSE, COARSE))
    return (coarse - coarse.mean(dim=(2, 3), keepdim=True)).flatten()


def by_positions(weights: Mapping[str, float], size: tuple[int, int]) -> dict[str, float]:
    """Weights of layers for a picture of ``size`` (height, width): less for those with few positions, the sum kept."""
    shares = {}
    for layer, weight in weights.items():
        height, width = (side >> (int(layer[4]) - 1) for side in size)
        shares[layer] = weight * min(1.0, height * width / ENOUGH)
    total = sum(shares.values())
    return {layer: share * sum(weights.values()) / total for layer, share in shares.items()} if total else dict(weights)
