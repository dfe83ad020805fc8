"""What single channels of an extractor see: the most active ones, their receptive fields, their peaks, their gradients.

Numbers only; :mod:`impasto.features.sheet` draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from impasto.features.extractor import Extractor


@dataclass(frozen=True)
class ReceptiveField:
    """Which pixels one value of a layer depends on; the same across and down.

    Attributes:
        size: side of the square of pixels.
        stride: pixels from one value's square to the next one's.
        start: first pixel of the first value's square. Negative where that reaches into the padding.
    """

    size: int = 1
    stride: int = 1
    start: int = 0

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom (exclusive) of a value's square, which may leave the picture."""
        left, top = self.start + column * self.stride, self.start + row * self.stride
        return left, top, left + self.size, top + self.size

    def through(self, kernel: int, stride: int, padding: int, dilation: int = 1) -> ReceptiveField:
        """The field behind one more convolution or pooling."""
        return ReceptiveField(
            self.size + dilation * (kernel - 1) * self.stride, self.stride * stride, self.start - padding * self.stride
        )


@dataclass(frozen=True)
class Peak:
    """A place of a feature map where its channel answers strongly."""

    row: int
    column: int
    value: float


def receptive_field(extractor: Extractor, layer: str) -> ReceptiveField:
    """The exact receptive field of ``layer``, of any extractor.

    Its operations on one small black image are recorded; every convolution and pooling among them widens the field by
    (kernel - 1) times the stride so far.

    Raises:
        ImpastoError: the extractor has no such layer.
        ValueError: an operation that cannot be followed, such as a resampling.
    """
    extractor.check_layers([layer])
    side = extractor.smallest_side(extractor.layers)
    device = next((parameter.device for parameter in extractor.parameters()), torch.device("cpu"))
    image = torch.zeros(1, 3, side, side, device=device)
    with torch.no_grad(), _Listener(image) as listener:
        maps = extractor(image, [layer])[layer]
    return listener.known[id(maps)][1]


class _Listener(TorchDispatchMode):
    """Carries receptive fields from the inputs of every operation to its result."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        # The tensors are kept beside their fields: an id counts only as long as its tensor lives.
        self.known: dict[int, tuple[Tensor, ReceptiveField]] = {id(image): (image, ReceptiveField())}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        sources = [self.known[id(item)] for item in args if id(item) in self.known]
        output = result[0] if isinstance(result, tuple | list) else result
        if sources and isinstance(output, Tensor):
            self.known[id(output)] = (output, _behind(func.overloadpacket.__name__, args, sources, output))
        return result


def _behind(name: str, args: Any, sources: list[tuple[Tensor, ReceptiveField]], output: Tensor) -> ReceptiveField:
    """The field behind one operation, by its name in PyTorch and its arguments by position."""
    source, field = sources[0]
    if name == "convolution" and not args[6]:
        return field.through(*(_one(pair, name) for pair in (args[1].shape[-2:], args[3], args[4], args[5])))
    if "max_pool2d" in name or name == "avg_pool2d":
        kernel = args[1]
        stride = args[2] if len(args) > 2 and args[2] else kernel
        padding = args[3] if len(args) > 3 else 0
        dilation = args[4] if len(args) > 4 and name != "avg_pool2d" else 1
        return field.through(*(_one(pair, name) for pair in (kernel, stride, padding, dilation)))
    if output.shape[-2:] != source.shape[-2:] or len({known.stride for _, known in sources}) > 1:
        raise ValueError(f"the receptive field cannot be followed through '{name}'")
    # Per pixel: where several ways meet, the result depends on all that any of them saw.
    first = min(known.start for _, known in sources)
    return ReceptiveField(max(known.start + known.size for _, known in sources) - first, field.stride, first)


def _one(pair: int | Sequence[int], name: str) -> int:
    """A size that has to be the same down and across."""
    across = {pair} if isinstance(pair, int) else set(pair)
    if len(across) > 1:
        raise ValueError(f"the receptive field cannot be followed through '{name}', which is no square")
    return across.pop()


def activity(maps: Tensor) -> Tensor:
    """The mean magnitude of each channel's map: (1, C, H, W) -> (C,)."""
    return maps[0].abs().mean(dim=(1, 2))


def most_active(maps: Tensor, count: int) -> list[tuple[int, float]]:
    """The ``count`` channels of ``maps`` (1, C, H, W) with the largest :func:`activity`, and that; strongest first.

    Equally active ones come in the order of their numbers; all channels if there are fewer than ``count``.
    """
    values, channels = activity(maps).sort(descending=True, stable=True)
    return [(int(channel), float(value)) for channel, value in zip(channels[:count], values[:count], strict=True)]


def peaks(feature_map: Tensor, field: ReceptiveField, count: int) -> list[Peak]:
    """The strongest answers of one channel's map (H, W), strongest first, from different parts of the picture.

    The receptive fields of any two overlap by half at most, across or down; small ones are a twelfth of the map's
    longer side apart. Places that do not answer (0 or less) are no peaks, so there may be fewer than ``count``.
    """
    left = feature_map.detach().clone()
    apart = max(-(-field.size // (2 * field.stride)), max(feature_map.shape) // 12)
    found: list[Peak] = []
    while len(found) < count:
        row, column = divmod(int(left.argmax()), left.shape[1])
        value = float(left[row, column])
        if value <= 0:
            break
        found.append(Peak(row, column, value))
        near = (slice(max(0, at - apart + 1), at + apart) for at in (row, column))
        left[tuple(near)] = 0
    return found


def saliency(extractor: Extractor, image: Tensor, layer: str, channel: int, places: Sequence[Peak]) -> Tensor:
    """How strongly single pixels move the values of a channel at ``places``.

    It is the magnitude of the gradient, the largest of the three colors: Simonyan, Vedaldi and Zisserman 2013, "Deep
    Inside Convolutional Networks" (arXiv:1312.6034), section 3. For an image (1, 3, H, W) it is (len(places), H, W).
    """
    pixels = image.detach().clone().requires_grad_()
    values = extractor(pixels, [layer])[layer][0, channel]
    gradients = [
        torch.autograd.grad(values[place.row, place.column], pixels, retain_graph=place is not places[-1])[0]
        for place in places
    ]
    return torch.stack([gradient[0].abs().amax(0) for gradient in gradients]) if gradients else image.new_zeros(0)


def spread(feature_map: Tensor, field: ReceptiveField, size: tuple[int, int]) -> Tensor:
    """One map (h, w) laid over the picture of ``size`` (H, W), as (H, W).

    Every value is at the middle of its receptive field, linear in between; beyond the outermost, as at the edge.
    """
    middle = field.start + (field.size - 1) / 2
    result = feature_map
    for dimension, side in ((0, size[0]), (1, size[1])):
        last = feature_map.shape[dimension] - 1
        at = ((torch.arange(side, device=feature_map.device) - middle) / field.stride).clamp(0, last)
        low = at.floor().long()
        high = (low + 1).clamp_max(last)
        part = (at - low).to(feature_map.dtype)
        part = part[:, None] if dimension == 0 else part[None]
        result = torch.lerp(result.index_select(dimension, low), result.index_select(dimension, high), part)
    return result
