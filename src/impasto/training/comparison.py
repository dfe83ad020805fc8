"""The student's errors: features, Gram matrices, style gaps, and the gradient that reaches the pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.features.compact import LAYERS
from impasto.features.extractor import Extractor
from impasto.layers import CONTENT_LAYER, STYLE_LAYERS
from impasto.losses import content_loss, style_loss, total_loss
from impasto.networks.moments import full_precision
from impasto.training.student import Student


class Comparison(nn.Module):
    """The student's errors in one forward pass, as data parallelism needs it."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(
        self, images: Tensor, targets: Mapping[str, Tensor], pairs: int, gradient: Tensor | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """:func:`layer_errors` of ``images`` (B, 3, H, W) in [0, 1] against the teacher's maps.

        The first of the three dictionaries also has the error of the ``gradient``, where the teacher's
        :func:`pixel_gradient` of the first images is given.
        """
        maps, grams, gaps = layer_errors(self.student, self.student(images), targets, pairs)
        if gradient is not None:
            # With batch norm's statistics fixed, as in the shipped file, no picture's gradient depends on the others.
            self.student.eval()
            own = pixel_gradient(self.student.see, images[: len(gradient)], differentiable=True)
            self.student.train()
            # Relative to all pictures together: one that matches its style already has hardly any gradient.
            maps["gradient"] = (own - gradient).square().sum() / gradient.square().sum().clamp_min(1e-12)
        return maps, grams, gaps


def layer_errors(
    student: Student, features: Mapping[str, Tensor], targets: Mapping[str, Tensor], pairs: int = 0
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Relative squared errors for every layer, means over the pictures: of features, Gram matrices and style gaps.

    The gap is G − A, a painting's Gram matrix less its style's, relative to A as in the style loss. The first ``pairs``
    pictures are paintings and the next ``pairs`` their styles; without any there are no gaps.
    """
    maps, grams, gaps = {}, {}, {}
    for layer, target in targets.items():
        with full_precision(target):
            P = student.projection(layer)
            f, t = features[layer].flatten(2).float(), target.flatten(2).float()
            maps[layer] = _relative(P @ f - t, t).mean()
            G, T = P @ (f @ f.mT) @ P.mT / f.shape[2], t @ t.mT / t.shape[2]
            if layer in STYLE_LAYERS:
                grams[layer] = _relative(G - T, T).mean()
            if layer in STYLE_LAYERS and pairs:
                wrong = G - T
                gaps[layer] = _relative(wrong[:pairs] - wrong[pairs : 2 * pairs], T[pairs : 2 * pairs]).mean()
    return maps, grams, gaps


def _relative(error: Tensor, target: Tensor) -> Tensor:
    """(B,), at most 4: a picture almost without features must not drown the others."""
    energy = target.square().sum(dim=(1, 2)).clamp_min(1e-6)
    return (error.square().sum(dim=(1, 2)) / energy).clamp_max(4)


def pixel_gradient(
    see: Callable[[Tensor, Sequence[str]], Mapping[str, Tensor]], images: Tensor, *, differentiable: bool = False
) -> Tensor:
    """The gradient of the refinement's loss at the pixels; content and style of a picture are the picture before it.

    ``see`` gives the maps of ``images`` (B, 3, H, W) in [0, 1], B at least 2, at layers. The result (B, 3, H, W) can be
    differentiated in turn where ``differentiable``.
    """
    with torch.enable_grad():
        images = images.detach().requires_grad_()
        maps = see(images, LAYERS)
        with full_precision(images):
            content = maps[CONTENT_LAYER].float()
            style = torch.zeros((), device=images.device)
            for layer in STYLE_LAYERS:
                rows = maps[layer].flatten(2).float()
                gram = rows @ rows.mT / rows.shape[2]  # Not gram_matrix: its gradient has none in turn.
                style = style + style_loss(gram, gram.detach().roll(1, 0)) / len(STYLE_LAYERS)
            total = total_loss(content_loss(content, content.detach().roll(1, 0)), style, 1e-3)
        (gradient,) = torch.autograd.grad(total, images, create_graph=differentiable)
    return gradient


@torch.no_grad()
def feature_errors(
    student: Student, teacher: Extractor, images: list[Tensor], side: int = 224, batch: int = 8
) -> dict[str, float]:
    """Relative feature error ‖P F − T‖² / ‖T‖² for every layer, over the central squares of uint8 ``images``."""
    student.eval()
    error, energy = dict.fromkeys(LAYERS, 0.0), dict.fromkeys(LAYERS, 0.0)
    for start in range(0, len(images), batch):
        rows = []
        for image in images[start : start + batch]:
            cut = min(image.shape[1:])
            top, left = ((length - cut) // 2 for length in image.shape[1:])
            square = image[None, :, top : top + cut, left : left + cut].float() / 255
            rows.append(F.interpolate(square, size=(side, side), mode="bilinear", antialias=True, align_corners=False))
        squares = torch.cat(rows).to(student.mean.device)
        features, targets = student(squares), teacher(squares, LAYERS)
        for layer in LAYERS:
            t = targets[layer].flatten(2)
            error[layer] += float((student.projection(layer) @ features[layer].flatten(2) - t).square().sum())
            energy[layer] += float(t.square().sum())
    student.train()
    return {layer: error[layer] / energy[layer] for layer in LAYERS}
