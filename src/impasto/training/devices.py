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

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed"}

Config = TypeVar("Config", AutoencoderConfig, ExtractorConfig)


def start(config: Config, devices: int, device: str, course: Course) -> tuple[Fabric, Config]:
    """One process for each of ``devices``; all but the first are started here, as this same command.

    Args:
        config: the settings; they come back with a precision that is not ``auto``.
        devices: how many.
        device: ``cpu``, ``cuda`` or ``mps``.
        course: is told whether this process is the first.

    Raises:
        ImpastoError: the batch cannot be shared, or lightning-fabric is missing.
    """
    config.check_devices(devices)
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise ImpastoError("lightning-fabric is missing; training needs it: pip install 'impasto[train]'") from error
    # It tells of every process it starts, and only commands print.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    config = replace(config, precision=resolve_precision(config.precision, device))
    fabric = Fabric(
        accelerator=device,
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        precision=PRECISIONS[config.precision],  # type: ignore[arg-type]
    )
    fabric.launch()
    course.leads = fabric.is_global_zero
    return fabric, config
