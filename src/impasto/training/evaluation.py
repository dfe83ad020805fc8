"""Style share and content error of a network that paints in one pass, and how often the critic is right.

The figures are those of :func:`impasto.measure`, but over many pairs and before the picture is rounded to 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn

from impasto.features.extractor import Extractor
from impasto.images import fit_size, resize
from impasto.layers import CONTENT_LAYER, STYLE_LAYERS
from impasto.losses import content_loss, gram_matrix, style_share
from impasto.networks.discriminator import verdicts
from impasto.refine.pyramid import fit_style


@dataclass(frozen=True)
class Accuracy:
    """The shares of the real paintings, and of the network's outputs, that the critic takes for what they are."""

    real: float
    painted: float

    @property
    def total(self) -> float:
        """The mean of the two; 0.5 where the critic guesses."""
        return (self.real + self.painted) / 2


@dataclass(frozen=True)
class Scores:
    """A network's figures over pairs that it never saw."""

    style_share: float  # the median; 1 for the untouched photograph, 0 for the painting
    content_error: float  # the median; 0 for the photograph itself
    style_shares: tuple[float, ...]  # one for each pair
    content_errors: tuple[float, ...]
    extractor: str  # what judged
    critic: Accuracy | None = None


def validation_pairs(
    contents: Sequence[Tensor], styles: Sequence[Tensor], count: int, longest: int, smallest: int = 1
) -> list[tuple[Tensor, Tensor]]:
    """``count`` pairs (1, 3, H, W) in [0, 1], spread evenly over both lists of uint8 (3, H, W).

    Where there are fewer pictures, some repeat. The longest side of either has ``longest`` pixels, and no side has
    fewer than ``smallest``.
    """
    pairs = []
    for index in range(count):
        content, style = (
            pictures[index * max(len(pictures), count) // count % len(pictures)][None].float() / 255
            for pictures in (contents, styles)
        )
        height, width = (max(smallest, side) for side in fit_size(content.shape[2], content.shape[3], longest))
        pairs.append((resize(content, (height, width)), fit_style(style, longest, smallest)))
    return pairs


@torch.no_grad()
def evaluate(
    network: nn.Module, pairs: Sequence[tuple[Tensor, Tensor]], extractor: Extractor, critic: nn.Module | None = None
) -> Scores:
    """Paint every pair of content and style, (1, 3, H, W) each on the network's device, and judge the outputs.

    ``extractor`` is the judge (VGG-19 is the one that counts); ``critic`` is shown the outputs and the styles.
    """
    shares, errors, outputs = [], [], []
    for content, style in pairs:
        output = network(content, style)
        outputs.append(output)
        seen = [extractor(image, [CONTENT_LAYER, *STYLE_LAYERS]) for image in (output, content, style)]
        grams = [{layer: gram_matrix(maps[layer].float()).double() for layer in STYLE_LAYERS} for maps in seen]
        shares.append(style_share(*grams).item())
        errors.append(content_loss(*(maps[CONTENT_LAYER].double() for maps in seen[:2])).item())
    accuracy = None if critic is None else judge_critic(critic, [style for _, style in pairs], outputs)
    return Scores(median(shares), median(errors), tuple(shares), tuple(errors), extractor.name, accuracy)


def judge_critic(critic: nn.Module, real: Sequence[Tensor], painted: Sequence[Tensor]) -> Accuracy:
    """How often ``critic`` is right about pictures (1, 3, H, W), of any sizes."""
    training = critic.training
    critic.eval()
    right_real = sum(float(verdicts(critic, image)) > 0 for image in real)
    right_painted = sum(float(verdicts(critic, image)) <= 0 for image in painted)
    critic.train(training)
    return Accuracy(right_real / len(real), right_painted / len(painted))
