"""The auto-encoder: a photograph and any painting in, the photograph painted out, in one pass.

:meth:`AutoEncoder.encode_style` makes a picture's :class:`Code`, the moments of its colors and of its features at five
scales, for content and style alike; ``strength`` blends the one code into the other. :meth:`AutoEncoder.paint` paints a
content or a tile of it, and needs of the whole picture the codes alone, as there are no normalization layers. The codes
act in two ways: features are transported to the moments of the style (Huang and Belongie 2017, arXiv:1703.06868, but
with covariances), and a perceptron modulates the decoder's convolutions (Perez et al. 2018, "FiLM", arXiv:1709.07871).

On plain grounds all features are alike, and a network can paint no strokes. So every scale of the decoder gets noise,
the grain, as much as the style asks for (as in Ulyanov et al. 2016, arXiv:1603.03417), the same for the same seed.

The plain network decodes the two deepest scales, 1/8 and 1/16 of the side. The residual one connects encoder and
decoder at every scale, with transported features so that the content's style stays behind, and paints a bounded change
of the color-matched content. Untrained, both return the content in the style's colors, the plain one blurred.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, NamedTuple, cast

import torch
from annotated_types import Interval, Len
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.files.cards import Filed, Width, bounded
from impasto.networks.grain import cut_grain, noise
from impasto.networks.layers import MULTIPLE, SLOPE, Block, Convolution, Linear, Weight, apply_map, clamp, enlarge, pad
from impasto.networks.moments import Moments, blend_moments, full_precision, moments, transport

#: The ridge for colors is small, as grayish pictures vary little along two of their three axes.
COLOR_RIDGE = 2e-3

#: The scales of every network, each of half the side of the one before.
SCALES = 5
#: The first scale that the plain network connects: its side is 1/8 of the picture's.
DEEP = 3


class Code(NamedTuple):
    """Moments of a picture's pixels, (B, 3) and (B, 3, 3), and of its features at S scales, (B, S, K[, K])."""

    color: Moments
    features: Moments


def blend_codes(first: Code, second: Code, weight: float | Tensor) -> Code:
    """From ``first`` (weight 0) to ``second`` (weight 1): content and style, or two styles."""
    return Code(*(blend_moments(one, other, weight) for one, other in zip(first, second, strict=True)))


class AutoEncoder(
    Filed,
    PyTorchModelHubMixin,
    library_name="impasto",
    pipeline_tag="image-to-image",
    license="mit",
    tags=["neural-style-transfer"],
):
    """Paints any content in any style.

    Args:
        residual: connect encoder and decoder at every scale, and paint a change of the content.
        widths: channels at every scale; each scale has half the side of the one before.
        depths: residual blocks of the decoder at every scale.
        shared: K, the channels in which content and style exchange their moments.
        hints: width of the perceptron that reads the codes.

    Example:
        >>> network = AutoEncoder(residual=True).eval()
        >>> network(torch.rand(1, 3, 60, 80), torch.rand(1, 3, 64, 64)).shape
        torch.Size([1, 3, 60, 80])
    """

    form, kind, command, fp16 = "impasto-autoencoder-1", "an auto-encoder", "impasto train autoencoder", True

    @bounded
    def __init__(
        self,
        residual: bool = True,
        widths: Annotated[Sequence[Width], Len(SCALES, SCALES)] = (16, 32, 64, 128, 128),
        depths: Annotated[Sequence[Annotated[int, Interval(ge=0, le=32)]], Len(SCALES, SCALES)] = (1, 2, 2, 2, 2),
        shared: Width = 32,
        hints: Width = 128,
    ) -> None:
        super().__init__()
        self.residual, self.widths, self.depths, self.shared = residual, tuple(widths), tuple(depths), shared
        self.settings = {"residual": residual, "widths": list(widths), "depths": list(depths), "shared": shared}
        self.settings["hints"] = hints
        scales = len(self.widths)
        self.stem = Convolution(3, widths[0])
        self.down = nn.ModuleList(Convolution(wide, wider, stride=2) for wide, wider in pairwise(widths))
        # No second look at the first two scales, which are large.
        self.look = nn.ModuleDict({str(scale): Convolution(widths[scale], widths[scale]) for scale in range(2, scales)})
        self.share = nn.ModuleList(Weight(shared, width) for width in widths)
        connected = [scale for scale in range(scales) if residual or scale >= DEEP]
        self.take = nn.ModuleDict({str(scale): Weight(widths[scale], shared) for scale in connected})
        self.biases = nn.ParameterDict({str(scale): torch.zeros(widths[scale]) for scale in connected})
        self.widen = nn.ModuleList(Weight(wide, wider, 1, 1) for wide, wider in pairwise(widths))
        numbers = 2 * (3 + 3 + 2 * scales * shared)
        self.read = nn.Sequential(
            Linear(numbers, hints), nn.LeakyReLU(SLOPE), Linear(hints, hints), nn.LeakyReLU(SLOPE)
        )
        sizes = zip(widths, depths, strict=True)
        self.blocks = nn.ModuleList(nn.ModuleList(Block(width, hints) for _ in range(depth)) for width, depth in sizes)
        # How much of the grain every channel gets. It must not start at zero: both signs are alike, so it would stay.
        self.amounts = nn.ModuleList(Linear(hints, width, gain=0.3) for width in widths)
        self.noise: Tensor
        self.register_buffer("noise", noise(), persistent=False)
        self.last = Convolution(widths[0], 3, gain=0.2, start=0.0)

    @property
    def margin(self) -> int:
        """Pixels around a tile that its output depends on, a multiple of :data:`MULTIPLE`; the codes are given."""
        # Two convolutions a block, the last one, and enlarging.
        blocks = sum(2 ** (scale + 1) * depth for scale, depth in enumerate(self.depths))
        return _rounded_up(self._reach + blocks + 1 + sum(2**scale for scale in range(1, len(self.widths))))

    @property
    def sight(self) -> int:
        """Pixels around a tile that its :meth:`features` depend on, a multiple of :data:`MULTIPLE`."""
        return _rounded_up(self._reach)

    @property
    def _reach(self) -> int:
        """Pixels that the encoder sees around one: a 3 × 3 convolution on maps of scale s reaches 2ˢ pixels farther."""
        looks = sum(2 ** int(scale) for scale in self.look)
        return 1 + looks + sum(2 ** (scale - 1) for scale in range(1, len(self.widths)))

    def features(self, image: Tensor) -> list[Tensor]:
        """Feature maps of ``image`` (B, 3, H, W; H and W multiples of 16) at every scale, (B, C, H / 2ˢ, W / 2ˢ)."""
        maps = [F.leaky_relu(self.stem(4 * image - 2), SLOPE)]
        for scale, down in enumerate(self.down, start=1):
            hidden = F.leaky_relu(down(maps[-1]), SLOPE)
            if str(scale) in self.look:
                hidden = F.leaky_relu(self.look[str(scale)](hidden), SLOPE)
            maps.append(hidden)
        return maps

    def encode_style(self, image: Tensor) -> Code:
        """The code of a whole picture (B, 3, H, W), content or style, sRGB in [0, 1]."""
        image = pad(image)
        return self.code(image, self.features(image))

    def code(self, image: Tensor, maps: Sequence[Tensor]) -> Code:
        """The code of a picture whose :meth:`features` are at hand."""
        return self.join(moments(image), [moments(features) for features in maps])

    def join(self, color: Moments, scales: Sequence[Moments]) -> Code:
        """The code, from the moments of a picture's pixels and of its :meth:`features` at every scale."""
        found = []
        with full_precision(color.mean):
            for own, share in zip(scales, self.share, strict=True):
                matrix = share()
                turned = matrix.transpose(-2, -1)
                found.append(Moments(own.mean @ turned, matrix @ own.covariance @ turned))
        return Code(color, Moments(*(torch.stack(part, dim=1) for part in zip(*found, strict=True))))

    def paint(
        self,
        content: Tensor,
        style: Code,
        strength: float | Tensor = 1.0,
        content_code: Code | None = None,
        corner: tuple[int, int] = (0, 0),
    ) -> Tensor:
        """The output (B, 3, H, W), sRGB in [0, 1].

        Args:
            content: (B, 3, H, W), sRGB in [0, 1]; a whole picture, or a tile of one.
            style: from :meth:`encode_style`.
            strength: from 0, where the code is the content's own, to 1, where it is the style's.
            content_code: the code of the whole content; None if ``content`` is all of it.
            corner: row and column where the tile begins, multiples of :data:`MULTIPLE`; with :func:`grain_corner`
                added, the strokes of plain grounds are those of another seed.
        """
        height, width = content.shape[-2:]
        content = pad(content)
        maps = self.features(content)
        own = self.code(content, maps) if content_code is None else content_code
        output = self.render(content, maps, own, style, strength, cut_grain(self.noise, content, corner))
        return clamp(output[..., :height, :width], self.training)

    def render(
        self, content: Tensor, maps: list[Tensor], own: Code, style: Code, strength: float | Tensor, grain: Tensor
    ) -> Tensor:
        """:meth:`paint` without clamping, from H and W multiples of 16; ``maps`` is empty afterwards."""
        target = blend_codes(own, style, strength)
        with full_precision(content):
            color = transport(own.color, target.color, COLOR_RIDGE)
            exchange = transport(own.features, target.features)
        change = torch.tanh(self.decode(maps, exchange, self.hint(own, target), grain))
        with full_precision(content):  # A pixel of bfloat16 has fewer than 8 bits.
            if self.residual:
                return apply_map(content, *color) + strength * change.float()
            small = F.avg_pool2d(content, 2**DEEP)
            return enlarge(apply_map(small, *color), 2**DEEP) + change.float()

    def forward(
        self, content: Tensor, style: Tensor, strength: float | Tensor = 1.0, corner: tuple[int, int] = (0, 0)
    ) -> Tensor:
        """Paint ``content`` in the style of the picture ``style`` (B, 3, H', W')."""
        return self.paint(content, self.encode_style(style), strength, corner=corner)

    def hint(self, content: Code, style: Code) -> Tensor:
        """What the modulation goes by, (B, hints): means and standard deviations of both codes."""
        numbers = []
        for code in (content, style):
            for part in code:
                # A masked sum, because the exporter of ONNX makes a maze of diagonal().
                mask = torch.eye(part.mean.shape[-1], device=part.mean.device)
                deviation = (part.covariance * mask).sum(-1).clamp_min(1e-6).sqrt()
                numbers += [part.mean.flatten(1), deviation.flatten(1)]
        hint: Tensor = self.read(torch.cat(numbers, dim=1))
        return hint

    def decode(self, maps: list[Tensor], exchange: tuple[Tensor, Tensor], hint: Tensor, grain: Tensor) -> Tensor:
        """The change (B, 3, H, W), from the content's maps and the affine ones that carry each scale to the style."""
        grains = [grain.to(hint.dtype)]
        for _ in maps[1:]:  # Of variance 1, like the first: the sum of four, halved.
            grains.append(2 * F.avg_pool2d(grains[-1], 2))
        hidden: Tensor | None = None
        for scale in reversed(range(len(maps))):
            own = maps.pop()  # The finest are large: each is let go as soon as it has been used.
            if hidden is not None:
                hidden = enlarge(F.conv2d(hidden, self.widen[scale]()))
            if str(scale) in self.take:
                take, bias = self.take[str(scale)](), self.biases[str(scale)]
                # One matrix for sharing, exchange and taking: the pixels are multiplied once.
                with full_precision(hint):
                    matrix = take @ exchange[0][:, scale] @ self.share[scale]()
                    offset = exchange[1][:, scale] @ take.transpose(-2, -1) + bias
                taken = apply_map(own, matrix, offset)
                hidden = taken if hidden is None else hidden + taken
                del taken
            del own
            amount = self.amounts[scale](hint)[:, :, None, None]
            hidden = torch.addcmul(cast(Tensor, hidden), amount, grains[scale])
            for block in cast(nn.ModuleList, self.blocks[scale]):
                hidden = block(hidden, hint)
        change: Tensor = self.last(hidden)
        return change


def _rounded_up(reach: int) -> int:
    return -(-reach // MULTIPLE) * MULTIPLE
