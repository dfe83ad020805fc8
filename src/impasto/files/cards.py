"""Weights that say what they are: a safetensors file with one JSON object, its card, in the metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from impasto.errors import ImpastoError

__all__ = ["halved", "pack", "read_card", "read_network"]

KEY = "impasto"

Network = TypeVar("Network", bound=nn.Module)


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


def read_network(
    path: str | Path, form: str, build: Callable[[dict[str, Any]], Network], *, other: str, damaged: str
) -> Network:
    """The network in the file, ready to answer.

    Args:
        path: the file.
        form: the ``format`` of its card.
        build: makes the network that the card describes; its weights are then the file's.
        other: what to say of a file that holds something else.
        damaged: what to say of one that cannot be read.

    Raises:
        ImpastoError: one of the two, after the name of the file.
    """
    try:
        card = read_card(path, form)
        if card is None:
            raise ImpastoError(f"{path}: {other}")
        network = build(card)
        network.load_state_dict(load_file(path))
    except ImpastoError:  # Which is a ValueError, too.
        raise
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ImpastoError(f"{path}: {damaged}") from error
    return network.eval()
