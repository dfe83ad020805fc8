"""Training images that only an optimizer makes: half-finished and over-finished paintings.

An extractor that has seen photographs and paintings only is blind to what refinement invents where nobody looked: noise
and ringing that please the small network and not VGG-19. So the network in training paints, with the package's own
refinement, and what it painted is shown to the teacher.
"""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.features.extractor import CONTENT_LAYER, STYLE_LAYERS, Extractor
from impasto.refine.objective import Objective, Weights
from impasto.refine.optimizer import State, adam, rate

__all__ = ["KEPT", "paint_batch"]

#: Steps of a painting, and after which of them it is kept.
STEPS = 60
KEPT = (8, 25, 60)


def paint_batch(extractor: Extractor, contents: Tensor, styles: Tensor, generator: torch.Generator) -> Tensor:
    """Paint every content in its style, as ``extractor`` sees it.

    Args:
        extractor: the network in training, as it would ship now.
        contents: (B, 3, H, W) in [0, 1].
        styles: (B, 3, H, W) in [0, 1].
        generator: draws λ, from pure texture to hardly touched.

    Returns:
        (len(KEPT) · B, 3, H, W) in [0, 1]: each picture at several moments.
    """
    content_weight = 10 ** float(torch.rand((), generator=generator) * 3 - 5)
    weights = Weights(content_weight, {CONTENT_LAYER: 1.0}, dict.fromkeys(STYLE_LAYERS, 0.2), (1.0,))
    objective = Objective(extractor, contents, [styles], weights)
    state, kept = State(contents), []
    for step in range(STEPS):
        gradient, _ = objective(state.image)
        state = adam(state, gradient, rate(step, STEPS))
        if step + 1 in KEPT:
            kept.append(state.image)
    return torch.cat(kept)
