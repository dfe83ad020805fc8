"""The interface of every extractor: an image goes in, named feature maps come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.errors import ImpastoError
from impasto.layers import VGG19_CHANNELS

#: Convolutions (3 × 3, with a ReLU) in order: the layer of VGG-19 that each stands for, and its output channels.
#: Sides are halved where the stage, the first digit, changes.
Architecture = Sequence[tuple[str, int]]


def channels_last(image: Tensor) -> Tensor:
    """The image in channels-last layout, and with it the maps of all layers; unchanged on Apple's GPUs.

    VGG-19 takes a fifth less time so on a processor with AVX2.
    """
    return image if image.device.type == "mps" else image.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Stage:
    """What an extractor does at one resolution, between two poolings. Pictures in tiles go through stage by stage.

    Attributes:
        names: of its convolutions, in order.
        layers: those of the layers asked for whose maps it gives.
        reach: how many positions away, on every side, its last maps depend on their input.
        widths: channels of its maps, in order.
        walk: input (B, C, h, w), for the first stage the image -> the name of each convolution with its maps, of the
            same sides, one after the other.
        back: name of a convolution, its maps, gradient by these -> gradient by the convolution's input.
        pool: the last maps -> the input of the next stage, with sides h // 2 and w // 2.
    """

    names: tuple[str, ...]
    layers: tuple[str, ...]
    reach: int
    widths: tuple[int, ...]
    walk: Callable[[Tensor], Iterator[tuple[str, Tensor]]]
    back: Callable[[str, Tensor, Tensor], Tensor]
    pool: Callable[[Tensor], Tensor]


class Extractor(nn.Module):
    """A frozen CNN. Subclasses fill in ``layers`` and ``forward``.

    Attributes:
        name: what the user calls it, for example ``vgg19``.
        sha256: of the weights, for the recipe.
        layers: those it has, in order of depth.
    """

    name: str = ""
    sha256: str = ""
    layers: tuple[str, ...] = ()

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Feature maps (B, C, H', W') of ``image`` (B, 3, H, W; sRGB in [0, 1]) at ``layers``; nothing deeper is run.

        Raises:
            ImpastoError: a layer that this extractor does not have.
        """
        raise NotImplementedError

    def maps(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Maps f of ``layers`` from which the features follow by one matrix a layer, and their distances by its square.

        Cheaper than :meth:`forward`, and all that losses need together with :meth:`metric`.
        """
        return self.forward(image, layers)

    def stages(self, layers: Sequence[str]) -> list[Stage]:
        """The way to the deepest of ``layers`` in stages, which together give the same :meth:`maps`.

        Raises:
            ImpastoError: a layer that this extractor does not have.
        """
        raise NotImplementedError

    def metric(self, layer: str) -> Tensor | None:
        """The symmetric M (C, C) with which ‖F − F'‖² = Σ (f − f')ᵀ M (f − f'), for the :meth:`maps` f of ``layer``.

        The squared distance of two Gram matrices then is tr(D M D M) of the difference D of the maps' Gram matrices.
        None stands for the identity.
        """
        self.check_layers([layer])
        return None

    def check_layers(self, layers: Sequence[str]) -> Sequence[str]:
        """Return ``layers``.

        Raises:
            ImpastoError: one of them is not a layer of this extractor.
        """
        for layer in layers:
            if layer not in self.layers:
                there = ", ".join(self.layers)
                raise ImpastoError(f"{layer}: the extractor '{self.name}' has no such layer; it has {there}")
        return layers

    def channels(self, layer: str) -> int:
        """N of the article: the number of VGG-19's feature maps at ``layer``."""
        return VGG19_CHANNELS[layer]

    def smallest_side(self, layers: Sequence[str]) -> int:
        """The shortest image side, in pixels, that still leaves one value at the deepest of ``layers``."""
        return int(2 ** (max(int(layer[4]) for layer in layers) - 1))


class Chain(Extractor):
    """An extractor whose convolutions stand in one row. Subclasses fill in :meth:`convolution`.

    Attributes:
        architecture: of the convolutions.
        mean: the color (1, 3, 1, 1) that is subtracted first.
    """

    architecture: Architecture
    mean: Tensor

    def convolution(self, name: str) -> nn.Conv2d:
        """The convolution of that name, 3 × 3 with zeros around its input."""
        raise NotImplementedError

    def pool(self, maps: Tensor) -> Tensor:
        """From the end of a stage to the beginning of the next one."""
        return F.max_pool2d(maps, 2)

    def maps(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """See :meth:`Extractor.maps`."""
        found: dict[str, Tensor] = {}
        hidden = image
        for number, stage in enumerate(self.stages(layers)):
            if number:
                hidden = stage.pool(hidden)
            for name, maps in stage.walk(hidden):
                hidden = maps
                if name in stage.layers:
                    found[name] = maps
        return {layer: found[layer] for layer in layers}

    def stages(self, layers: Sequence[str]) -> list[Stage]:
        """See :meth:`Extractor.stages`."""
        names = [name for name, _ in self.architecture]
        needed = self.architecture[: 1 + max((names.index(layer) for layer in self.check_layers(layers)), default=-1)]
        stages = []
        for _, group in groupby(needed, key=lambda convolution: convolution[0][4]):
            part, widths = zip(*group, strict=True)
            wanted = tuple(name for name in part if name in layers)
            stages.append(Stage(part, wanted, len(part), widths, partial(self._walk, part), self._back, self.pool))
        return stages

    def _walk(self, names: Sequence[str], hidden: Tensor) -> Iterator[tuple[str, Tensor]]:
        """The convolutions of a stage, one after the other."""
        if names[0] == self.architecture[0][0]:
            hidden = channels_last(hidden - self.mean)
        for name in names:
            # In place on the fresh output of the convolution: maps that are handed out are never written to again.
            hidden = self.convolution(name)(hidden).relu_()
            yield name, hidden

    def _back(self, name: str, maps: Tensor, slope: Tensor) -> Tensor:
        """Back through the ReLU and the convolution of that name, without a gradient of the weights."""
        # What autograd calls for a ReLU: one pass over memory, where a mask and a product are two.
        through = torch.ops.aten.threshold_backward(slope, maps, 0)
        return F.conv_transpose2d(through, self.convolution(name).weight, padding=1)
