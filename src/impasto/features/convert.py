"""VGG-19 in one form, whatever file it came in: the input is RGB in [0, 1].

Every framework subtracts the mean color first and pads with zeros afterwards. Folding the mean into the first bias
would change the border, so it stays an operation on the image; scale and order of the colors go into the first kernel.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.features import layouts
from impasto.features.layouts import FETCH_AGAIN
from impasto.files.atomic import write_atomically
from impasto.files.hashing import file_sha256

FORMAT = "impasto-vgg19-1"

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

#: Convention -> mean (RGB, 0-1) and scale of the network's input (image - mean) · scale.
CONVENTIONS: dict[str, tuple[list[float], list[float]]] = {
    "torchvision": ([0.485, 0.456, 0.406], [1 / 0.229, 1 / 0.224, 1 / 0.225]),
    "caffe": ([123.68 / 255, 116.779 / 255, 103.939 / 255], [255.0, 255.0, 255.0]),
}

#: Shapes of the tensors: of any file, and of impasto's own.
_CONVOLUTIONS: dict[str, tuple[int, ...]] = {}
for _name, (_channels, _width) in layouts.CONVOLUTIONS.items():
    _CONVOLUTIONS |= {f"{_name}.weight": (_channels, _width, 3, 3), f"{_name}.bias": (_channels,)}
_INPUT: dict[str, tuple[int, ...]] = {"mean": (3,), "scale": (3,)}
_OWN = _CONVOLUTIONS | _INPUT

#: What the SHA-256 of the two published .pth files starts with.
KNOWN_HASHES = {"dcbb9e9d": "torchvision", "d01eb7cb": "caffe"}

#: The middle row of the first kernel, color by color in the file's order: it survives a conversion to 16 or 8 bits.
FINGERPRINTS = {
    "torchvision": (0.015314, 0.045068, 0.0021444, 0.14165, 0.22705, 0.13758, 0.059742, 0.13955, 0.054102),
    "caffe": (0.2310, 0.0895, -0.3018, 0.3064, 0.1037, -0.3723, 0.2686, 0.0990, -0.3394),
}


@dataclass(frozen=True)
class VGG19Weights:
    """VGG-19 in impasto's own form.

    Attributes:
        tensors: ``convI_J.weight`` (out, in, 3, 3) for RGB and ``convI_J.bias`` (out), in the precision of the source;
            ``mean`` (3) and ``scale`` (3) in float64. The network sees (image - mean) · scale.
        convention: ``torchvision`` or ``caffe``: whose input the weights were made for.
        origin: name of the file they came from.
        origin_sha256: of that file.
        sha256: of the tensors, the same for a file and for what it was converted to.
    """

    tensors: dict[str, Tensor]
    convention: str
    origin: str
    origin_sha256: str
    sha256: str


def read_weights(path: str | Path, convention: str | None = None, *, name: str | None = None) -> VGG19Weights:
    """Read VGG-19 from torchvision's file, the Caffe port, Keras' file, safetensors or impasto's own, and check it.

    Args:
        path: the file. Its ending does not matter.
        convention: ``torchvision`` or ``caffe``, for weights that do not tell.
        name: what the file is called, where that is not the last part of ``path``.

    Raises:
        ImpastoError: the file is missing, cut, tampered with, not VGG-19, holds NaN, or does not tell its convention.
    """
    path = Path(path)
    name = name or path.name
    if convention is not None and convention not in CONVENTIONS:
        raise ImpastoError(f"'{convention}' is unknown; give torchvision or caffe", setting="convention")
    layout = layouts.find_layout(path)
    metadata = layouts.read_metadata(path) if layout == "safetensors" else {}
    if metadata.get("format") == FORMAT:
        return _read_own(path, metadata, convention)

    digest = file_sha256(path)
    _check_name(path, name, digest)
    readers = {"keras": layouts.read_keras, "torch": layouts.read_torch, "safetensors": layouts.read_safetensors}
    tensors = _check(path, readers[layout](path), _CONVOLUTIONS)
    hints = f"{name} {metadata.get('convention', '')}".lower()
    known = "caffe" if layout == "keras" else _recognize(digest, tensors["conv1_1.weight"])
    convention = _settle_convention(path, known, convention, hints)
    for key, values in zip(_INPUT, CONVENTIONS[convention], strict=True):
        tensors[key] = torch.tensor(values, dtype=torch.float64)
    if convention == "caffe":  # Blue comes first in the file.
        tensors["conv1_1.weight"] = tensors["conv1_1.weight"].flip(1)
    return VGG19Weights(tensors, convention, name, digest, _tensor_sha256(tensors))


def write_weights(weights: VGG19Weights, path: Path) -> None:
    """Write impasto's own file, all of it or nothing.

    Raises:
        ImpastoError: it cannot be written.
    """
    metadata = {name: value for name, value in vars(weights).items() if name != "tensors"}
    write_atomically(path, save(weights.tensors, {"format": FORMAT, **metadata}))


def _read_own(path: Path, metadata: dict[str, str], convention: str | None) -> VGG19Weights:
    found = layouts.read_safetensors(path)
    tensors = _check(path, found, _OWN)
    sha256 = _tensor_sha256(tensors)
    if sha256 != metadata.get("sha256"):
        raise ImpastoError(
            f"{path}: tampered with or damaged: the weights in it do not have the hash that it records; "
            "make it again with 'impasto weights get vgg19 --force' or 'impasto weights add FILE --force'"
        )
    recorded = _settle_convention(path, metadata.get("convention"), convention, "")
    return VGG19Weights(tensors, recorded, metadata.get("origin", ""), metadata.get("origin_sha256", ""), sha256)


def _check_name(path: Path, name: str, digest: str) -> None:
    """A name like ``vgg19-dcbb9e9d.pth`` promises the first digits of the file's SHA-256."""
    promise = re.search(r"-([0-9a-f]{8,64})\.pth$", name)  # Digits alone are a date.
    if promise and not promise[1].isdigit() and not digest.startswith(promise[1]):
        what = f"by its name its SHA-256 starts with {promise[1]}, but it starts with {digest[:8]}"
        raise ImpastoError(f"{path}: cut or tampered with: {what}; {FETCH_AGAIN}")


def _check(path: Path, found: dict[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The tensors of these names and shapes in order, and nothing else."""
    tensors: dict[str, Tensor] = {}
    for key, shape in shapes.items():
        tensor = found.get(key)
        if tensor is None or tuple(tensor.shape) != shape or tensor.dtype not in FLOATS:
            what = "is missing" if tensor is None else f"is {tensor.dtype} {list(tensor.shape)}, not {list(shape)}"
            mend = "give VGG-19 with all 16 convolutions, without batch norm"
            raise ImpastoError(f"{path}: not the weights of VGG-19: {key} {what}; {mend}")
        if not torch.isfinite(tensor).all():
            raise ImpastoError(f"{path}: {key} holds NaN or infinite numbers; {FETCH_AGAIN}")
        half = tensor.dtype != torch.float64 or key in _INPUT
        tensors[key] = (tensor if half else tensor.float()).detach().contiguous()
    return tensors


def _recognize(digest: str, kernels: Tensor) -> str | None:
    """Whose weights these are: torchvision and the Caffe port use the same keys and shapes."""
    row = kernels[0, :, 1].double().flatten()
    expected = {name: torch.tensor(numbers, dtype=torch.float64) for name, numbers in FINGERPRINTS.items()}
    alike = (name for name, numbers in expected.items() if torch.dist(row, numbers) < 0.03 * numbers.norm())
    return KNOWN_HASHES.get(digest[:8]) or next(alike, None)


def _settle_convention(path: Path, known: str | None, given: str | None, hints: str) -> str:
    """What the weights show comes first, then what the user says, then a name like ``vgg19-caffe.safetensors``."""
    if known and given and given != known:
        raise ImpastoError(f"the weights in {path} follow {known}'s; leave it out", setting="convention")
    hinted = [convention for convention in CONVENTIONS if convention in hints]
    settled = known or given or (hinted[0] if len(hinted) == 1 else None)
    if settled is None:
        raise ImpastoError(
            f"{path}: cannot tell which input these weights were made for; say it with 'impasto weights add FILE "
            "--convention torchvision' (RGB, 0 to 1) or '--convention caffe' (BGR, 0 to 255)"
        )
    return settled


def _tensor_sha256(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and bytes, in order of the names."""
    digest = hashlib.sha256(FORMAT.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.view(torch.uint8).numpy().data)
    return digest.hexdigest()
