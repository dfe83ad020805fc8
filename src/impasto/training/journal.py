"""What a training leaves to look at while it runs: TensorBoard scalars, and sheets of fixed pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.images import save_image

__all__ = ["Journal", "sheet"]

GAP = 4  # pixels between pictures


class Journal:
    """Writes into a folder; without one it writes nothing.

    Args:
        folder: made if it is missing; None for no journal.
        first: steps done before; what TensorBoard has of later ones, which a resumed run does again, is dropped.
    """

    def __init__(self, folder: Path | None, first: int = 0) -> None:
        self.folder = folder
        if folder is not None:
            from torch.utils.tensorboard import SummaryWriter

            folder.mkdir(parents=True, exist_ok=True)
            self._writer = SummaryWriter(str(folder), purge_step=first + 1)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Points of the curves called by the keys."""
        if self.folder is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def picture(self, step: int, network: nn.Module, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Write ``sheet-STEP.png``: content, style and output of every pair."""
        if self.folder is not None:
            save_image(self.folder / f"sheet-{step:06}.png", sheet(network, pairs), force=True)
            self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        if self.folder is not None:
            self._writer.close()


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
