"""Which network paints: the user's file or the one that comes with the package, in torch or in onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.files.hashing import file_sha256
from impasto.files.shipped import shipped
from impasto.instant.passes import Painter
from impasto.machine import Device, resolve_device
from impasto.networks.autoencoder import AutoEncoder, Code
from impasto.networks.moments import Moments
from impasto.recipe import Input


@dataclass(frozen=True)
class Model:
    """A file of weights, and what the recipe says of it: the network of the package has no name there."""

    path: Path
    input: Input


def shipped_path() -> Path:
    """The network that ships inside the package."""
    return shipped("autoencoder")


def find_model(name: str | None) -> Model:
    """The file called ``name``; None is the network that comes with the package.

    Raises:
        ImpastoError: it is not there.
    """
    path = shipped_path() if name is None else Path(name)
    if name is None and not path.is_file():
        raise ImpastoError(
            "no network comes with this installation; name a file, such as one of 'impasto train autoencoder'",
            setting="model",
        )
    try:
        return Model(path, Input("" if name is None else name, file_sha256(path)))
    except ImpastoError as error:
        raise ImpastoError(error.text, setting="model") from error


def load_painter(model: Model, runtime: str = "torch", device: str = "auto") -> tuple[Painter, Device]:
    """The network, ready to paint, and the device that it computes on; onnxruntime computes on the CPU.

    Args:
        model: from :func:`find_model`: a safetensors file, or an ONNX file for onnxruntime.
        runtime: ``torch`` or ``onnx``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        ImpastoError: a file that cannot be used, or a device that is not there.
    """
    exported = model.path.suffix == ".onnx"
    if runtime == "torch":
        if exported:
            raise ImpastoError(f"{model.path} is an ONNX file; add `runtime=onnx`", setting="model")
        chosen = resolve_device(device)
        return TorchPainter(AutoEncoder.from_file(model.path), chosen), chosen
    if device not in ("auto", "cpu"):
        raise ImpastoError(f"`runtime=onnx` computes on the CPU, not on {device}; leave one of the two out", "device")
    from impasto.instant.onnx import OnnxPainter, export

    return OnnxPainter(model.path.read_bytes() if exported else export(AutoEncoder.from_file(model.path))), "cpu"


class TorchPainter:
    """A network that torch computes on ``device``; takes and gives images on the CPU."""

    def __init__(self, network: AutoEncoder, device: str = "cpu") -> None:
        self.network, self.device = network.eval().requires_grad_(False).to(device), device
        self.margin, self.sight = network.margin, network.sight

    @torch.no_grad()
    def features(self, image: Tensor) -> Sequence[Tensor]:
        """Feature maps, on the device."""
        return self.network.features(image.to(self.device))

    @torch.no_grad()
    def join(self, color: Moments, scales: Sequence[Moments]) -> Code:
        """The code of a picture, from moments."""
        here, *others = (Moments(*(part.to(self.device) for part in pair)) for pair in (color, *scales))
        return self.network.join(here, others)

    @torch.no_grad()
    def encode(self, image: Tensor) -> Code:
        """The code of a whole picture, on the device."""
        return self.network.encode_style(image.to(self.device))

    @torch.no_grad()
    def paint(
        self, content: Tensor, style: Code, strength: float, own: Code | None = None, corner: tuple[int, int] = (0, 0)
    ) -> Tensor:
        """See :meth:`impasto.instant.passes.Painter.paint`."""
        return self.network.paint(content.to(self.device), style, strength, own, corner).cpu()
