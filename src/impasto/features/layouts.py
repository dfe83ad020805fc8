"""How the weights of VGG-19 lie in the files that people have, told apart by their first bytes.

Every reader returns the tensors that it finds, under one set of names: ``convI_J.weight`` (out, in, 3, 3) and
``convI_J.bias`` (out), with the file's own values. What is missing or wrong is for :mod:`impasto.features.convert` to
say.
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

#: N of ``features.N``: convolutions and ReLUs count one each, and so does the pooling between the stages.
NUMBERS = {name: 2 * place + int(name[4]) - 1 for place, name in enumerate(CONVOLUTIONS)}

FETCH_AGAIN = "fetch it again"
HDF5 = b"\x89HDF\r\n\x1a\n"
ZIP = b"PK\x03\x04"
PICKLE = b"\x80\x02"


def find_layout(path: Path) -> str:
    """``keras``, ``torch`` or ``safetensors``.

    Raises:
        ImpastoError: there is no such file, or it is none of them.
    """
    with _or_refuse(path):
        head = _first_bytes(path)
    if head.startswith(HDF5):
        return "keras"
    # A zip archive since PyTorch 1.6, pickles before: torchvision's file and the Caffe port are older than that.
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
            # PyTorch does not look at the checksums.
            with zipfile.ZipFile(path) as members:
                if members.testzip() is not None:
                    raise ImpastoError(f"{path}: damaged: a checksum in it is wrong; {FETCH_AGAIN}")
        # Mapped, the half a gigabyte of the classifier stays on the disk; the older form cannot be.
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

    The data sets' own names differ between versions of Keras (``block1_conv1_W_1:0``, ``kernel:0``): a kernel is what
    has four dimensions, a bias what has one.
    """
    import h5py

    tensors: dict[str, Tensor] = {}

    def keep(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        if item.ndim == 4:
            tensors[f"{name}.weight"] = torch.from_numpy(item[()]).permute(3, 2, 0, 1).contiguous()
        elif item.ndim == 1:
            tensors[f"{name}.bias"] = torch.from_numpy(item[()])

    with _or_refuse(path), h5py.File(path, "r") as file:
        # A whole model, saved with its architecture, has the weights one group further down.
        root = file.get("model_weights", file)
        for name in CONVOLUTIONS:
            group = root.get(f"block{name[4]}_conv{name[6]}")
            if group is not None:
                group.visititems(lambda _, item, name=name: keep(name, item))
    return tensors


def _rename(tensors: dict[str, Any]) -> dict[str, Tensor]:
    names = {f"features.{NUMBERS[name]}.{part}": f"{name}.{part}" for name in NUMBERS for part in ("weight", "bias")}
    return {names.get(key, key): tensor for key, tensor in tensors.items() if isinstance(tensor, Tensor)}


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(9)


@contextmanager
def _or_refuse(path: Path) -> Iterator[None]:
    """Libraries raise all sorts of things at a broken file; the user gets one line."""
    try:
        yield
    except ImpastoError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise ImpastoError(
                f"{path}: cannot be read ({error.strerror}); give the file of VGG-19's weights"
            ) from error
        raise ImpastoError(f"{path}: cut or damaged, it cannot be read as weights; {FETCH_AGAIN}") from error
