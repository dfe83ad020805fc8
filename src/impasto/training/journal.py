"""TensorBoard curves of a training, and sheets of what the network makes of fixed pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.images import save_image

GAP = 4  # pixels between pictures


class Journal:
    """Writes into ``folder``, if there is one: every ``every`` steps a sheet of ``pairs``, (1, 3, H, W) each.

    After ``first`` steps of an earlier run, the points of later ones are dropped: a resumed run makes them again.
    """

    def __init__(
        self, folder: Path | None, pairs: Sequence[tuple[Tensor, Tensor]] = (), every: int = 250, first: int = 0
    ) -> None:
        self.folder, self.pairs, self.every, self.last = folder, pairs, every, first
        if folder is not None:
            from torch.utils.tensorboard import SummaryWriter

            folder.mkdir(parents=True, exist_ok=True)
            self._writer = SummaryWriter(str(folder), purge_step=first + 1)

    def write(self, step: int, values: Mapping[str, float], network: nn.Module) -> None:
        """A point of every curve and, now and then, ``sheet-STEP.png`` with what the network makes of the pairs."""
        if self.folder is None:
            return
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self.last = step
        if step % self.every == 0:
            self._picture(network)

    def close(self, network: nn.Module) -> None:
        """Write the last sheet, and what TensorBoard has not written yet."""
        if self.folder is not None:
            if self.last % self.every:
                self._picture(network)
            self._writer.close()

    def _picture(self, network: nn.Module) -> None:
        save_image(cast(Path, self.folder) / f"sheet-{self.last:06}.png", sheet(network, self.pairs), force=True)
        self._writer.flush()


@torch.no_grad()
def sheet(network: nn.Module, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Rows of content, style and output, (1, 3, H, W); every cell as large as the largest picture."""
    rows = [(content.cpu(), style.cpu(), network(content, style).cpu()) for content, style in pairs]
    height = max(image.shape[-2] for row in rows for image in row) + GAP
    width = max(image.shape[-1] for row in rows for image in row) + GAP
    cells = [
        torch.cat([F.pad(i, (0, width - i.shape[-1], 0, height - i.shape[-2]), value=1.0) for i in row], dim=3)
        for row in rows
    ]
    return torch.cat(cells, dim=2)
