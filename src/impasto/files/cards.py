"""Weights that say what they are: a safetensors file with a card, one JSON object, in the metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.files.atomic import write_atomically

KEY = "impasto"


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in fp16, on the CPU.

    Raises:
        ImpastoError: a value that fp16 cannot hold.
    """
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all() or tensor.abs().max() > 6e4:
            raise ImpastoError(f"{name}: weights do not fit into fp16; train with a lower learning rate")
    return {name: tensor.detach().cpu().half().contiguous() for name, tensor in tensors.items()}


def pack(tensors: dict[str, Tensor], card: Mapping[str, Any]) -> bytes:
    """The bytes of the file, the same for the same weights and card."""
    # One entry: safetensors writes several in an order that changes from run to run.
    return save(tensors, {KEY: json.dumps(card, sort_keys=True)})


def read_card(path: str | Path, form: str) -> dict[str, Any] | None:
    """The card of the file; None if it has none, or one whose ``format`` is not ``form``.

    Raises SafetensorError, OSError or json.JSONDecodeError for a file that cannot be read, is cut short or damaged.
    """
    with safe_open(str(path), framework="pt") as file:
        card = json.loads((file.metadata() or {}).get(KEY, "{}"))
    return card if isinstance(card, dict) and card.get("format") == form else None


class Filed(nn.Module):
    """A network kept in one safetensors file, with its settings in the card.

    Attributes:
        form: the ``format`` in the card.
        kind: what to call the network in messages, with its article.
        command: what writes such files.
        fp16: whether the weights are written in fp16.
        settings: the keywords that the network was made with.
    """

    form: ClassVar[str]
    kind: ClassVar[str]
    command: ClassVar[str]
    fp16: ClassVar[bool] = False
    settings: dict[str, Any]

    def to_file(self, path: str | Path, card: Mapping[str, Any] | None = None) -> None:
        """Write the file, with the settings and ``card`` in its metadata.

        Raises:
            ImpastoError: a weight that fp16 cannot hold, or a file that cannot be written.
        """
        state = self.state_dict()
        tensors = halved(state) if self.fp16 else {name: part.cpu().contiguous() for name, part in state.items()}
        write_atomically(Path(path), pack(tensors, {"format": self.form, "settings": self.settings, **(card or {})}))

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a file of :meth:`to_file`; the network is in float32 and in evaluation mode.

        Raises:
            ImpastoError: the file is missing, cut, or holds something else.
        """
        try:
            card = read_card(path, cls.form)
            if card is None:
                raise ImpastoError(f"{path}: is not {cls.kind}; give a file of '{cls.command}'")
            network = cls(**card["settings"])
            network.load_state_dict(load_file(path))
        except ImpastoError:  # Which is a ValueError, too.
            raise
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ImpastoError(f"{path}: cannot be read as {cls.kind}; give an intact file") from error
        return network.eval()
