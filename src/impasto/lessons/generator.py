"""The two networks of the GAN of faces, and the sheets and ways between faces that are made with its generator.

Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks
("DCGAN", 2015, arXiv:1511.06434).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch
from annotated_types import Predicate
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.configs import FACE_SIDES
from impasto.files.cards import Filed, Width, bounded
from impasto.networks.discriminator import DownBlock

SMALLEST = 4  # side of the first maps of the generator and of the last ones of the discriminator
MOST = 8  # the most channels, as a multiple of those of the finest maps


def _widths(side: int, width: int) -> list[int]:
    """Channels of the maps of half the side, a quarter, ..., 4 pixels."""
    scales = (side // SMALLEST).bit_length() - 1
    return [width * min(MOST, 2**scale) for scale in range(scales)]


class FaceGenerator(
    Filed, PyTorchModelHubMixin, library_name="impasto", pipeline_tag="unconditional-image-generation", license="mit"
):
    """From random numbers to a face: maps of 4 × 4, doubled by transposed convolutions until they are an image.

    ``side`` of the faces is 16, 32, 64 or 128 pixels. The finest maps have ``width`` channels, coarser ones twice as
    many, up to eight times. A face is made from ``latent`` numbers.

    Example:
        >>> FaceGenerator(side=64).eval()(torch.randn(2, 64)).shape
        torch.Size([2, 3, 64, 64])
    """

    form, kind, command = "impasto-faces-1", "a generator of faces", "impasto train faces"

    @bounded
    def __init__(
        self, side: Annotated[int, Predicate(FACE_SIDES.__contains__)] = 64, width: Width = 16, latent: Width = 64
    ) -> None:
        super().__init__()
        self.side, self.latent = side, latent
        self.settings = {"side": side, "width": width, "latent": latent}
        widths = _widths(side, width)[::-1]
        first = nn.ConvTranspose2d(latent, widths[0], SMALLEST, bias=False)
        nn.init.normal_(first.weight, std=0.02)
        layers: list[nn.Module] = [first]
        for wider, wide in pairwise(widths):
            layers += [nn.BatchNorm2d(wider), nn.ReLU(inplace=True), _doubling(wider, wide)]
        layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True), _doubling(widths[-1], 3)]
        self.layers = nn.Sequential(*layers)

    def forward(self, latent: Tensor) -> Tensor:
        """Faces (B, 3, side, side), sRGB in [0, 1], of ``latent`` (B, latent), normally distributed."""
        faces: Tensor = self.layers(latent[:, :, None, None])
        return torch.tanh(faces) / 2 + 0.5

    @torch.no_grad()
    def paint(self, latent: Tensor, batch: int = 64) -> Tensor:
        """Faces of many latents, outside of training: (N, latent) -> (N, 3, side, side) on the CPU."""
        training = self.training
        self.eval()
        device = next(self.parameters()).device
        faces = [self(part.to(device)).cpu().contiguous() for part in latent.split(batch)]
        self.train(training)
        return torch.cat(faces)


class FaceDiscriminator(nn.Module):
    """From a face to a number, above zero where it looks real. ``side`` and ``width`` are those of the generator.

    The blocks are those of the auto-encoder's critic. A linear map looks at the last maps as a whole, because in an
    aligned face every part has its place.
    """

    def __init__(self, side: int = 64, width: int = 16) -> None:
        super().__init__()
        widths = _widths(side, width)
        # Not normalized spectrally: the gradient penalty of the loss bounds the gradient.
        self.blocks = nn.Sequential(*(DownBlock(*sizes, spectral=False) for sizes in pairwise([3, *widths])))
        self.answer = nn.Linear(widths[-1] * SMALLEST**2, 1)

    def forward(self, faces: Tensor) -> Tensor:
        """Logits (B,) of ``faces`` (B, 3, side, side) in [0, 1]."""
        logits: Tensor = self.answer(self.blocks(2 * faces - 1).flatten(1)).squeeze(1)
        return logits


def _doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Twice the side, at first as a bilinear enlargement: random kernels would leave a checkerboard for long."""
    layer = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=outputs == 3)
    tent = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    with torch.no_grad():
        layer.weight.copy_(0.02 * torch.randn(inputs, outputs, 1, 1) * tent[:, None] * tent)
    return layer


def latents(count: int, latent: int, seed: int) -> Tensor:
    """The random numbers of ``count`` faces, (count, latent); those of the first do not depend on ``count``."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randn(latent, generator=generator) for _ in range(count)])


def between(start: Tensor, end: Tensor, count: int) -> Tensor:
    """The way from one latent to another, both included: (latent,) and (latent,) -> (count, latent).

    An arc, because a straight way would come nearer to the origin than almost any latent of the training (White:
    Sampling Generative Networks, 2016, arXiv:1609.04468).
    """
    cosine = torch.dot(start, end) / (start.norm() * end.norm())
    angle = torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))
    along = torch.linspace(0, 1, count).unsqueeze(1)
    return (torch.sin((1 - along) * angle) * start + torch.sin(along * angle) * end) / torch.sin(angle)


def sheet(faces: Tensor, columns: int, gap: int = 2) -> Tensor:
    """Faces in rows of ``columns``, white between them and where none is left: (N, 3, side, side) -> (1, 3, H, W)."""
    count, step = len(faces), faces.shape[-1] + gap
    columns = min(columns, count)
    rows = -(-count // columns)
    cells = F.pad(faces, (0, gap, 0, gap, 0, 0, 0, rows * columns - count), value=1.0)
    paper = cells.view(rows, columns, 3, step, step).permute(2, 0, 3, 1, 4).reshape(1, 3, rows * step, columns * step)
    return paper[..., : rows * step - gap, : columns * step - gap].contiguous()
