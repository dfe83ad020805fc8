"""The checkpoint of a training."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from impasto.errors import ImpastoError
from impasto.files.atomic import write_atomically

DAMAGES = (OSError, EOFError, LookupError, AttributeError, TypeError, ValueError, RuntimeError, pickle.UnpicklingError)

Named = Mapping[str, Any]


def write_checkpoint(path: Path, made_of: Named, parts: Named, notes: Named) -> None:
    """Write the whole file or nothing; ImpastoError if it cannot be written.

    ``made_of`` has to be the same when the training is resumed, by what to call it, such as ``settings``; ``parts`` are
    networks, optimizers, schedules, whatever has a ``state_dict``; ``notes`` are plain values and tensors.
    """
    states = {name: part.state_dict() for name, part in parts.items()}
    buffer = io.BytesIO()
    torch.save({"made_of": dict(made_of), "parts": states, "notes": dict(notes)}, buffer)
    write_atomically(path, buffer.getvalue())


def read_checkpoint(path: Path, made_of: Named, parts: Named) -> dict[str, Any]:
    """Load the states of ``parts``; returns the notes. ImpastoError for another ``made_of`` or a damaged file."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        others = [what for what, value in made_of.items() if state["made_of"][what] != value]
        if others:
            raise ImpastoError(f"{path}: made with other {' and '.join(others)}; remove it or train with the same")
        for name, part in parts.items():
            part.load_state_dict(state["parts"][name])
        return dict(state["notes"])
    except ImpastoError:  # is a ValueError, too
        raise
    except DAMAGES as error:
        raise ImpastoError(f"{path}: a damaged checkpoint; remove it to begin anew") from error
