"""Crops and the teacher's maps of them, kept on disk."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.layers import VGG19_CHANNELS


class Memory:
    """Room for ``rows`` crops of ``side`` pixels and for their maps at ``layers`` in fp16, as memory-mapped files.

    Files of an earlier run in ``folder`` are used again; ``found`` tells whether there were any.

    Raises:
        ImpastoError: the disk has no room for them.
    """

    def __init__(self, folder: str | Path, rows: int, side: int, layers: Sequence[str]) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        shapes = {"images": (rows, 3, side, side)}
        for layer in layers:
            reduced = side >> (int(layer[4]) - 1)
            shapes[layer] = (rows, VGG19_CHANNELS[layer], reduced, reduced)
        dtypes = dict.fromkeys(shapes, "float16") | {"images": "uint8"}
        paths = {name: folder / f"{name}.npy" for name in shapes}
        self.found = all(path.is_file() for path in paths.values())
        if not self.found:
            # A write to mapped memory raises nothing when the disk is full: it kills the process.
            needed = sum(math.prod(shape) * np.dtype(dtypes[name]).itemsize for name, shape in shapes.items())
            if needed > shutil.disk_usage(folder).free:
                raise ImpastoError(f"{folder}: needs {needed / 1e9:.1f} GB of disk; make room or lower `memory`")
            for name, path in paths.items():
                open_memmap(path, mode="w+", dtype=dtypes[name], shape=shapes[name])
        self.maps = {name: open_memmap(path, mode="r+") for name, path in paths.items()}
        self.images = self.maps.pop("images")

    def write(self, row: int, images: Tensor, maps: dict[str, Tensor]) -> None:
        """Keep ``images``, uint8 (B, 3, H, W), and the ``maps`` of them, from ``row`` on."""
        rows = slice(row, row + len(images))
        self.images[rows] = images.cpu().numpy()
        for layer, kept in self.maps.items():
            kept[rows] = maps[layer].half().cpu().numpy()

    def read(self, rows: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """The images, (B, 3, H, W) in [0, 1], and the maps in float32."""
        picked = list(rows)
        images = torch.from_numpy(self.images[picked]).float() / 255
        return images, {layer: torch.from_numpy(kept[picked]).float() for layer, kept in self.maps.items()}
