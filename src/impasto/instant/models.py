"""Which network paints: the user's file or one that comes with the package, in torch or in onnxruntime.

With the package come one network for all paintings, the base, and what it learned of each painting of the gallery.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from impasto import gallery
from impasto.errors import ImpastoError
from impasto.files.hashing import file_sha256
from impasto.files.shipped import shipped
from impasto.instant.passes import Painter
from impasto.machine import Device, resolve_device
from impasto.networks.adapted import adapted_card, apply_adapted
from impasto.networks.autoencoder import AutoEncoder, Code
from impasto.networks.moments import Moments
from impasto.recipe import Input

#: The name of the package's network for all paintings.
BASE = "base"


@dataclass(frozen=True)
class Model:
    """A file of weights, and what the recipe says of it: the network of the package has no name there."""

    path: Path
    input: Input


def shipped_path() -> Path:
    """The network that ships inside the package."""
    return shipped("autoencoder")


def adapted_path(name: str) -> Path:
    """What the base has learned of the painting of the gallery called ``name``."""
    return shipped_path().parent / "adapted" / f"{name}.safetensors"


def shipped_networks() -> list[Path]:
    """The base, and what it has learned of the gallery's paintings."""
    learned = (adapted_path(name) for name in gallery.names("painting"))
    return [shipped_path(), *(path for path in learned if path.is_file())]


def find_model(name: str | None, style: str | os.PathLike[str] | None = None) -> Model:
    """The network called ``name``: a file, or ``base``. None is the package's own for a style.

    ``style`` is the file of the painting, if there is but one and its colors are as they are: if it is one of the
    gallery's, by its hash, the network is what was learned of it; else the base.

    Raises:
        ImpastoError: it is not there.
    """
    ours = name in (None, BASE)
    learned = _learned(style) if name is None else None
    path = learned or (shipped_path() if ours else Path(name or ""))
    if ours and not path.is_file():
        raise ImpastoError(
            "no network comes with this installation; name a file, such as one of 'impasto train autoencoder'",
            setting="model",
        )
    try:
        return Model(path, Input("" if ours else str(name), file_sha256(path)))
    except ImpastoError as error:
        raise ImpastoError(error.text, setting="model") from error


def _learned(style: str | os.PathLike[str] | None) -> Path | None:
    """What comes with the package of this painting; None if it has not been learned."""
    file = None if style is None else gallery.resolve(style)
    if file is None or not file.is_file():
        return None
    sha256 = file_sha256(file)
    known = (name for name in gallery.names("painting") if file_sha256(gallery.path(name)) == sha256)
    return next((path for path in map(adapted_path, known) if path.is_file()), None)


def load_network(path: Path) -> AutoEncoder:
    """The network of a file of ``impasto train autoencoder``, or with what a file of ``impasto adapt`` changed of it.

    Raises:
        ImpastoError: a file that cannot be used, or the network that it changes is not here.
    """
    card = adapted_card(path)
    if card is None:
        return AutoEncoder.from_file(path)
    places = (shipped_path(), path.with_name(Path(str(card.get("base_name", ""))).name or "none"))
    base = next((place for place in places if place.is_file() and file_sha256(place) == card.get("base")), None)
    if base is None:
        raise ImpastoError(
            f"{path} was learned with a network that is neither this version's nor beside it; adapt it again",
            setting="model",
        )
    return apply_adapted(AutoEncoder.from_file(base), path)


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
        return TorchPainter(load_network(model.path), chosen), chosen
    if device not in ("auto", "cpu"):
        raise ImpastoError(f"`runtime=onnx` computes on the CPU, not on {device}; leave one of the two out", "device")
    from impasto.instant.onnx import OnnxPainter, export

    return OnnxPainter(model.path.read_bytes() if exported else export(load_network(model.path))), "cpu"


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
