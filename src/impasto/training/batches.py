"""What a step of the auto-encoder's training sees, and how its output is measured.

Each row of a batch is a pair of content and style. The targets of a crop are computed once; after each step the styles
move on by one row, so that the same crops make new pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from impasto.configs import AutoencoderConfig
from impasto.features.extractor import Extractor
from impasto.layers import CONTENT_LAYER, STYLE_LAYERS
from impasto.losses import content_loss, gram_matrix, style_loss
from impasto.networks.grain import grain_corner
from impasto.training.data import crops

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Images = list[Tensor]  # (3, H, W) uint8


@dataclass
class Batch:
    """Crops and what the extractor sees in them; row i of the styles belongs to row i of the contents."""

    contents: Tensor  # (B, 3, side, side) in [0, 1]
    styles: Tensor  # the same
    features: Tensor  # of the contents at relu4_2
    grams: dict[str, Tensor]  # of the styles, by layer
    content_grams: dict[str, Tensor]
    corner: tuple[int, int] = (0, 0)  # where the grain begins


def draw_batches(
    config: AutoencoderConfig, contents: Images, styles: Images, extractor: Extractor, fabric: Fabric, first: int
) -> Iterator[Batch]:
    """The batches of every step from ``first`` on; of several processes, each gets its own rows."""
    rows = slice(fabric.global_rank, None, fabric.world_size)
    generator = torch.Generator()
    batch = None
    for step in range(first - first % config.pairings, config.steps):
        # Seeded by the step, so that a resumed run sees what an uninterrupted one would.
        generator.manual_seed(config.seed * 1_000_003 + step + 1)
        if batch is None or step % config.pairings == 0:
            drawn = [crops(images, config.batch, config.side, generator) for images in (contents, styles)]
            content, style = (images[rows].to(fabric.device) for images in drawn)
            with torch.no_grad():
                with fabric.autocast():
                    own = extractor(content, [CONTENT_LAYER, *STYLE_LAYERS])
                    theirs = extractor(style, STYLE_LAYERS)
                batch = Batch(content, style, own[CONTENT_LAYER].float(), find_grams(theirs), find_grams(own))
        else:
            grams = {layer: gram.roll(-1, 0) for layer, gram in batch.grams.items()}
            batch = replace(batch, styles=batch.styles.roll(-1, 0), grams=grams)
        if step >= first:
            yield replace(batch, corner=grain_corner(int(torch.randint(2**31, (), generator=generator))))


def find_grams(maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The Gram matrices of the style layers, in float32."""
    return {layer: gram_matrix(maps[layer].float()) for layer in STYLE_LAYERS}


def measure_output(maps: Mapping[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
    """Content and style loss (relative, the mean over the pairs) of an output, from what the extractor sees in it.

    A style of hardly any energy, such as a night scene, would dominate the mean. So where the untouched content is
    farther from the style than an empty picture (a loss above 1), the style loss is divided by the content's.
    """
    style = []
    for layer, gram in find_grams(maps).items():
        target = batch.grams[layer]
        untouched = pair_losses(batch.content_grams[layer], target)
        style.append((pair_losses(gram, target) / untouched.clamp_min(1)).mean())
    return content_loss(maps[CONTENT_LAYER].float(), batch.features), torch.stack(style).mean()


def pair_losses(grams: Tensor, targets: Tensor) -> Tensor:
    """The relative style loss of every pair, (B,)."""
    losses: Tensor = torch.vmap(style_loss)(grams[:, None], targets[:, None])
    return losses
