"""One device or several: the processes of a training."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from impasto.configs import AutoencoderConfig, ExtractorConfig
from impasto.course import Course
from impasto.errors import ImpastoError
from impasto.machine import resolve_precision

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Config = TypeVar("Config", AutoencoderConfig, ExtractorConfig)


def start(config: Config, devices: int, device: str, course: Course) -> tuple[Fabric, Config]:
    """One process for each of ``devices``; all but the first are started here, as this same command.

    The settings come back with the precision that ``auto`` stands for; ``course`` is told whether this process leads.

    Raises:
        ImpastoError: the batch cannot be shared, or lightning-fabric is missing.
    """
    config.check_devices(devices)
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise ImpastoError("lightning-fabric is missing; training needs it: pip install 'impasto[train]'") from error
    # It logs every process it starts.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    config = replace(config, precision=resolve_precision(config.precision, device))
    fabric = Fabric(
        accelerator=device,
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        precision="bf16-mixed" if config.precision == "bf16" else "32-true",
    )
    fabric.launch()
    course.leads = fabric.is_global_zero
    return fabric, config
