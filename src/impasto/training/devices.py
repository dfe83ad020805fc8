"""One device or several: the processes of a training."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["check_shares", "start_fabric"]

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed"}


def check_shares(batch: int, devices: int, what: str) -> None:
    """Refuse a batch of which the devices cannot have equal parts.

    Raises:
        ImpastoError: it is no multiple; ``what`` are its members.
    """
    if batch % devices:
        raise ImpastoError(f"--batch: {batch} {what} cannot be shared by {devices} devices; give a multiple")


def start_fabric(devices: int, device: str, precision: str) -> Fabric:
    """One process for each of ``devices``; all but the first are started here, as this same command.

    Args:
        devices: how many.
        device: ``cpu``, ``cuda`` or ``mps``.
        precision: ``fp32`` or ``bf16``.

    Raises:
        ImpastoError: lightning-fabric is missing.
    """
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise ImpastoError("training needs lightning-fabric: pip install 'impasto[train]'") from error
    # It tells of every process it starts, and only commands print.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator=device,
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        precision=PRECISIONS[precision],  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric
