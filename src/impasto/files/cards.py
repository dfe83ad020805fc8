"""Weights that say what they are: a safetensors file with a card, one JSON object, in the metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import torch
from annotated_types import Interval
from pydantic import ConfigDict, validate_call
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.files.atomic import write_atomically
from impasto.files.regular import check_regular

KEY = "impasto"
#: The most characters that a card may have.
LONGEST = 1_000_000

#: Channels, and other numbers that a network grows with.
Width = Annotated[int, Interval(ge=1, le=4096)]
#: Decorates what makes a network: its keywords come from cards too, and keep within their bounds.
bounded = validate_call(config=ConfigDict(strict=True))


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


def read_card(path: str | Path, form: str | None = None) -> dict[str, Any] | None:
    """The card of the file; None if it has none, or one whose ``format`` is not ``form``, where that is given.

    Raises SafetensorError or ValueError for a file that is cut short or damaged, ImpastoError for one that cannot be
    read.
    """
    with safe_open(str(check_regular(path)), framework="pt") as file:
        text = (file.metadata() or {}).get(KEY, "{}")
    if len(text) > LONGEST:
        raise ValueError(f"a card of {len(text)} characters")
    try:
        card = json.loads(text)
    except RecursionError as error:
        raise ValueError("a card in a card in a card") from error
    return card if isinstance(card, dict) and form in (None, card.get("format")) else None


def check_shapes(path: str | Path, wanted: Mapping[str, Sequence[int]]) -> None:
    """Whether the file holds tensors of these names and shapes and no others, before anything is made of them.

    Raises SafetensorError or ValueError if it holds others.
    """
    with safe_open(str(path), framework="pt") as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    if found != {name: tuple(shape) for name, shape in wanted.items()}:
        raise ValueError("other shapes than the card's")


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
            with torch.device("meta"):  # Takes no memory, whatever the card says.
                check_shapes(path, {name: part.shape for name, part in cls(**card["settings"]).state_dict().items()})
            network = cls(**card["settings"])
            network.load_state_dict(load_file(path))
        except ImpastoError:  # Which is a ValueError, too.
            raise
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ImpastoError(f"{path}: cannot be read as {cls.kind}; give an intact file") from error
        return network.eval()
