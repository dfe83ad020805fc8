"""A painting that a network has learned: what it changed of the network, in a file of less than 100 KB.

The encoder stays as it is. The offsets of the decoder move, and its kernels by a matrix of low rank (Hu et al. 2021,
"LoRA", arXiv:2106.09685).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from impasto.errors import ImpastoError
from impasto.files.atomic import write_atomically
from impasto.files.cards import halved, pack, read_card
from impasto.networks.autoencoder import AutoEncoder
from impasto.networks.layers import Weight

FORM = "impasto-adapted-1"
#: Parts of the network that see: what they say of a picture has to stay what it was.
ENCODER = ("stem", "down", "look", "share")
LEFT, RIGHT = ".left", ".right"


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
        offsets: of the decoder, by their names in the network.
        kernels: what is added to its kernels, likewise.
    """

    def __init__(self, network: AutoEncoder, rank: int) -> None:
        network.requires_grad_(False)
        self.offsets = {
            name: parameter
            for name, parameter in network.named_parameters()
            if _paints(name) and (name.endswith("bias") or name.startswith("biases"))
        }
        for parameter in self.offsets.values():
            parameter.requires_grad_(True)
        self.kernels: dict[str, LowRank] = {}
        for name, weight in list(_kernels(network)):
            self.kernels[name] = LowRank(weight.weight, rank)
            parametrize.register_parametrization(weight, "weight", self.kernels[name])

    def groups(self, offset_rate: float, kernel_rate: float) -> list[dict[str, Any]]:
        """The two groups of parameters for an optimizer, with their learning rates."""
        kernels = [parameter for kernel in self.kernels.values() for parameter in kernel.parameters()]
        return [{"params": list(self.offsets.values()), "lr": offset_rate}, {"params": kernels, "lr": kernel_rate}]

    def tensors(self) -> dict[str, Tensor]:
        """What was learned, in fp16."""
        found = {name: parameter.detach() for name, parameter in self.offsets.items()}
        for name, kernel in self.kernels.items():
            found |= {name + LEFT: kernel.left.detach(), name + RIGHT: kernel.right.detach()}
        return halved(found)


def _paints(name: str) -> bool:
    return name.split(".")[0] not in ENCODER


def _kernels(network: nn.Module) -> Iterator[tuple[str, Weight]]:
    """The kernels of the decoder by the names of their tensors; no matrices."""
    for name, part in network.named_modules():
        if isinstance(part, Weight) and _paints(name) and part.weight.shape[2:].numel() > 1:
            yield f"{name}.weight", part


def write_adapted(path: Path, tensors: Mapping[str, Tensor], base: str, card: Mapping[str, Any]) -> None:
    """Write what :meth:`Apprenticeship.tensors` gave; ``base`` is the hash of the network's file.

    Raises:
        ImpastoError: the file cannot be written.
    """
    write_atomically(path, pack(dict(tensors), {"format": FORM, "base": base, **card}))


def adapted_card(path: Path) -> dict[str, Any] | None:
    """The card of a painting that a network has learned; None if the file is something else, or cannot be read."""
    try:
        return read_card(path, FORM)
    except (SafetensorError, OSError, ValueError):
        return None


@torch.no_grad()
def apply_adapted(network: AutoEncoder, path: Path) -> AutoEncoder:
    """Change ``network``, the one that it was learned with, to what it became.

    Raises:
        ImpastoError: the file is damaged, or of another network.
    """
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
        parameters = dict(network.named_parameters())
        for name, tensor in tensors.items():
            if name.endswith(LEFT):
                kernel: Tensor = parameters[name.removesuffix(LEFT)]
                right = tensors[name.removesuffix(LEFT) + RIGHT]
                if len(tensor) * right.shape[-1] != kernel.numel():  # Small factors can have a huge product.
                    raise ValueError(name)
                kernel.add_((tensor @ right).view_as(kernel))
            elif not name.endswith(RIGHT):
                parameters[name].copy_(tensor.view_as(parameters[name]))
    except (SafetensorError, OSError, KeyError, ValueError, IndexError, RuntimeError) as error:
        raise ImpastoError(f"{path}: does not fit the network; give an intact file of 'impasto adapt'") from error
    return network
