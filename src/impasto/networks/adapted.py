"""A painting that a network has learned: what it changed of the network, in a file of less than 100 KB.

The encoder stays as it is. The offsets of the decoder move, and its kernels by a matrix of low rank (Hu et al. 2021,
"LoRA", arXiv:2106.09685).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from impasto.errors import ImpastoError
from impasto.files.atomic import write_atomically
from impasto.files.cards import check_shapes, halved, pack, read_card
from impasto.networks.autoencoder import AutoEncoder
from impasto.networks.layers import Weight

FORM = "impasto-adapted-1"
#: Parts of the network that see: what they say of a picture has to stay what it was.
ENCODER = ("stem", "down", "look", "share")


class LowRank(nn.Module):
    """Adds ``left @ right`` to a kernel (O, I, h, w): nothing at first, as ``left`` (O, R) is zero."""

    def __init__(self, kernel: Tensor, rank: int) -> None:
        super().__init__()
        self.left = nn.Parameter(torch.zeros(kernel.shape[0], rank))
        self.right = nn.Parameter(torch.randn(rank, math.prod(kernel.shape[1:])))

    def forward(self, kernel: Tensor) -> Tensor:
        """The kernel as it has become."""
        return kernel + (self.left @ self.right).view_as(kernel)


class Apprenticeship:
    """Makes what may move of ``network`` trainable, and nothing else.

    Attributes:
        offsets: of the decoder.
        kernels: what is added to its kernels.
    """

    def __init__(self, network: AutoEncoder, rank: int) -> None:
        network.requires_grad_(False)
        self.offsets, kernels = _offsets(network), _kernels(network)
        for parameter in self.offsets:
            parameter.requires_grad_(True)
        self.kernels = [LowRank(weight.weight, rank) for weight in kernels]
        for weight, added in zip(kernels, self.kernels, strict=True):
            parametrize.register_parametrization(weight, "weight", added)

    def groups(self, offset_rate: float, kernel_rate: float) -> list[dict[str, Any]]:
        """The two groups of parameters for an optimizer, with their learning rates."""
        kernels = [parameter for kernel in self.kernels for parameter in kernel.parameters()]
        return [{"params": self.offsets, "lr": offset_rate}, {"params": kernels, "lr": kernel_rate}]

    def tensors(self) -> dict[str, Tensor]:
        """What was learned, in fp16: all numbers in a row, as names and shapes are the network's."""
        parts = [part for kernel in self.kernels for part in (kernel.left, kernel.right)]
        return halved({"offsets": _row(self.offsets), "kernels": _row(parts)})


def _row(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.detach().flatten() for part in parts])


def _paints(name: str) -> bool:
    return name.split(".")[0] not in ENCODER


def _offsets(network: nn.Module) -> list[nn.Parameter]:
    """The offsets of the decoder."""
    named = ((name, parameter) for name, parameter in network.named_parameters() if _paints(name))
    return [parameter for name, parameter in named if name.endswith("bias") or name.startswith("biases")]


def _kernels(network: nn.Module) -> list[Weight]:
    """The kernels of the decoder; no matrices."""
    weights = (part for name, part in network.named_modules() if isinstance(part, Weight) and _paints(name))
    return [weight for weight in weights if weight.weight.shape[2:].numel() > 1]


def write_adapted(path: Path, tensors: Mapping[str, Tensor], base: str, rank: int, card: Mapping[str, Any]) -> None:
    """Write what :meth:`Apprenticeship.tensors` gave; ``base`` is the hash of the network's file.

    Raises:
        ImpastoError: the file cannot be written.
    """
    write_atomically(path, pack(dict(tensors), {"format": FORM, "base": base, "rank": rank, **card}))


def adapted_card(path: Path) -> dict[str, Any] | None:
    """The card of a painting that a network has learned; None if the file is something else, or cannot be read."""
    try:
        return read_card(path, FORM)
    except (SafetensorError, ValueError):
        return None


@torch.no_grad()
def apply_adapted(network: AutoEncoder, path: Path) -> AutoEncoder:
    """Change ``network``, the one that it was learned with, to what it became.

    Raises:
        ImpastoError: the file is damaged, or of another network.
    """
    offsets, kernels = _offsets(network), [weight.weight for weight in _kernels(network)]
    try:
        rank = int((read_card(path, FORM) or {})["rank"])
        sizes = [(len(kernel) * rank, rank * kernel[0].numel()) for kernel in kernels]
        numbers = {"offsets": sum(offset.numel() for offset in offsets), "kernels": sum(map(sum, sizes))}
        check_shapes(path, {name: (count,) for name, count in numbers.items()})
        learned = {name: tensor.float() for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ImpastoError(f"{path}: does not fit the network; give an intact file of 'impasto adapt'") from error
    for offset, row in zip(offsets, learned["offsets"].split([offset.numel() for offset in offsets]), strict=True):
        offset.copy_(row.view_as(offset))
    rows = iter(learned["kernels"].split([size for pair in sizes for size in pair]))
    for kernel in kernels:
        left, right = next(rows).view(len(kernel), rank), next(rows).view(rank, -1)
        kernel.add_((left @ right).view_as(kernel))
    return network
