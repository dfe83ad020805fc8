"""How the weights of VGG-19 lie in the files that people have, told apart by their first bytes.

Every reader returns the tensors that it finds under the same names, ``convI_J.weight`` (out, in, 3, 3) and
``convI_J.bias`` (out), with the file's own values; :mod:`impasto.features.convert` checks them.
"""

from __future__ import annotations

import warnings
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
from impasto.files.regular import open_regular
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
    with _or_refuse(path), warnings.catch_warnings():
        archive = _first_bytes(path).startswith(ZIP)
        if archive:
            with zipfile.ZipFile(path) as members:
                # PyTorch packs nothing: what is packed may unfold to any size.
                if any(member.compress_type != zipfile.ZIP_STORED for member in members.infolist()):
                    raise ValueError("packed")
                if members.testzip() is not None:  # PyTorch does not look at the checksums.
                    raise ImpastoError(f"{path}: damaged: a checksum in it is wrong; {FETCH_AGAIN}")
        # Mapped, the half a gigabyte of the classifier stays on the disk; the older form cannot be mapped.
        warnings.simplefilter("ignore")  # Of ways of keeping tensors that are refused below.
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
    has four dimensions, a bias what has one. Of VGG-19's shapes alone they are read, and from this file alone: HDF5 can
    name others to read from.
    """
    import h5py

    tensors: dict[str, Tensor] = {}

    def keep(name: str, item: Any) -> None:
        channels, width = CONVOLUTIONS[name]
        if not isinstance(item, h5py.Dataset) or item.shape not in ((3, 3, width, channels), (channels,)):
            return
        if item.external or item.is_virtual:
            raise ImpastoError(f"{path}: {item.name} lies in another file; give one that holds all of VGG-19's weights")
        if item.dtype.kind != "f":
            raise ValueError(item.dtype)
        if item.ndim == 4:
            tensors[f"{name}.weight"] = torch.from_numpy(item[()]).permute(3, 2, 0, 1).contiguous()
        else:
            tensors[f"{name}.bias"] = torch.from_numpy(item[()])

    def inner(group: Any, name: str) -> Any:
        """A group inside a group, not by a link to elsewhere."""
        return group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None

    with _or_refuse(path), h5py.File(path, "r") as file:
        root = inner(file, "model_weights") or file  # A whole model has the weights one group further down.
        for name in CONVOLUTIONS:
            if group := inner(root, f"block{name[4]}_conv{name[6]}"):
                group.visititems(lambda _, item, name=name: keep(name, item))
    return tensors


def _rename(tensors: dict[str, Any]) -> dict[str, Tensor]:
    """Tensors that hold numbers one beside the other; a file may also describe sparse ones, or some without any."""
    return {
        _NAMES.get(key, key): tensor
        for key, tensor in tensors.items()
        if type(tensor) in (Tensor, torch.nn.Parameter)
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and not tensor.is_quantized
    }


def _first_bytes(path: Path) -> bytes:
    with open_regular(path) as file:
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
