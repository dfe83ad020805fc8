"""How the weights of VGG-19 lie in the files that people have, told apart by their first bytes.

Every reader returns the tensors that it finds under the same names, ``convI_J.weight`` (out, in, 3, 3) and
``convI_J.bias`` (out), with the file's own values; :mod:`impasto.features.convert` checks them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.layers import VGG19_CHANNELS

#: Convolution -> (output channels, input channels), in order of depth.
CONVOLUTIONS: dict[str, tuple[int, int]] = {
    layer.replace("relu", "conv"): (channels, width)
    for layer, (width, channels) in zip(VGG19_CHANNELS, pairwise([3, *VGG19_CHANNELS.values()]), strict=True)
}

#: torchvision's keys -> ours. Convolutions, ReLUs and poolings count one each in ``features.N``.
_NAMES = {
    f"features.{2 * place + int(name[4]) - 1}.{part}": f"{name}.{part}"
    for place, name in enumerate(CONVOLUTIONS)
    for part in ("weight", "bias")
}

FETCH_AGAIN = "fetch it again"
HDF5, ZIP, PICKLE = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x80\x02"


def find_layout(path: Path) -> str:
    """``keras``, ``torch`` or ``safetensors``.

    Raises:
        ImpastoError: there is no such file, or it is none of them.
    """
    with _or_refuse(path):
        head = _first_bytes(path)
    if head.startswith(HDF5):
        return "keras"
    # A zip archive since PyTorch 1.6, pickles before, such as torchvision's file and the Caffe port.
    if head.startswith((ZIP, PICKLE)):
        return "torch"
    if head[8:] == b"{":
        return "safetensors"
    if not head:
        raise ImpastoError(f"{path}: the file is empty; {FETCH_AGAIN}")
    raise ImpastoError(f"{path}: not a file of weights; give VGG-19 as a .pth, .h5 or .safetensors file")


def read_torch(path: Path) -> dict[str, Tensor]:
    """A state dict with keys ``features.N.weight``, numbered as in torchvision."""
    with _or_refuse(path):
        archive = _first_bytes(path).startswith(ZIP)
        if archive:
            with zipfile.ZipFile(path) as members:  # PyTorch does not look at the checksums.
                if members.testzip() is not None:
                    raise ImpastoError(f"{path}: damaged: a checksum in it is wrong; {FETCH_AGAIN}")
        # Mapped, the half a gigabyte of the classifier stays on the disk; the older form cannot be mapped.
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    return _rename(state) if isinstance(state, dict) else {}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The same keys in safetensors, or impasto's own names; mapped, not copied."""
    with _or_refuse(path), safe_open(path, framework="pt") as file:
        return _rename({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118


def read_metadata(path: Path) -> dict[str, str]:
    """The texts in the header of a safetensors file."""
    with _or_refuse(path), safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def read_keras(path: Path) -> dict[str, Tensor]:
    """One group for each convolution; kernels are (height, width, in, out).

    The names of the data sets differ between versions of Keras (``block1_conv1_W_1:0``, ``kernel:0``): a kernel is what
    has four dimensions, a bias what has one.
    """
    import h5py

    tensors: dict[str, Tensor] = {}

    def keep(name: str, item: Any) -> None:
        if getattr(item, "ndim", 0) == 4:
            tensors[f"{name}.weight"] = torch.from_numpy(item[()]).permute(3, 2, 0, 1).contiguous()
        elif getattr(item, "ndim", 0) == 1:
            tensors[f"{name}.bias"] = torch.from_numpy(item[()])

    with _or_refuse(path), h5py.File(path, "r") as file:
        root = file.get("model_weights", file)  # A whole model has the weights one group further down.
        for name in CONVOLUTIONS:
            if group := root.get(f"block{name[4]}_conv{name[6]}"):
                group.visititems(lambda _, item, name=name: keep(name, item))
    return tensors


def _rename(tensors: dict[str, Any]) -> dict[str, Tensor]:
    return {_NAMES.get(key, key): tensor for key, tensor in tensors.items() if isinstance(tensor, Tensor)}


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(9)


@contextmanager
def _or_refuse(path: Path) -> Iterator[None]:
    """Whatever a library raises at a broken file becomes one line."""
    try:
        yield
    except ImpastoError:
        raise
    except Exception as error:
        what = f"cut or damaged, it cannot be read as weights; {FETCH_AGAIN}"
        if isinstance(error, OSError) and error.strerror:
            what = f"cannot be read ({error.strerror}); give the file of VGG-19's weights"
        raise ImpastoError(f"{path}: {what}") from error
