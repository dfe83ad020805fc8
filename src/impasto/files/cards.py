"""Weights that say what they are: a safetensors file with one JSON object, its card, in the metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from impasto.errors import ImpastoError

__all__ = ["halved", "pack", "read_card"]

KEY = "impasto"


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in fp16, on the CPU.

    Raises:
        ImpastoError: one of them has a value that fp16 cannot hold.
    """
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all() or tensor.abs().max() > 6e4:
            raise ImpastoError(f"{name}: weights do not fit into fp16; train with a lower learning rate")
    return {name: tensor.detach().cpu().half().contiguous() for name, tensor in tensors.items()}


def pack(tensors: dict[str, Tensor], card: Mapping[str, Any]) -> bytes:
    """The bytes of the file, the same for the same weights and card."""
    # One entry, because safetensors writes several in an order that changes from run to run.
    return save(tensors, {KEY: json.dumps(card, sort_keys=True)})


def read_card(path: str | Path, form: str) -> dict[str, Any] | None:
    """The card of the file; None if it has none, or one whose ``format`` is not ``form``.

    Raises:
        SafetensorError: no safetensors file, or one cut short.
        OSError: it cannot be read.
        json.JSONDecodeError: the card is damaged.
    """
    with safe_open(str(path), framework="pt") as file:
        card = json.loads((file.metadata() or {}).get(KEY, "{}"))
    return card if isinstance(card, dict) and card.get("format") == form else None
