"""What a training needs to go on, in a file that is whole or not there."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from impasto.files.atomic import write_atomically

__all__ = ["write_state"]


def write_state(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write ``state`` for ``torch.load(path, weights_only=True)``, all of it or nothing.

    Raises:
        ImpastoError: the file cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomically(Path(path), buffer.getvalue())
