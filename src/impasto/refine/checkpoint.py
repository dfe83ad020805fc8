"""A run that was stopped goes on where it was: everything the loop knows, in one safetensors file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from impasto.errors import ImpastoError
from impasto.files.atomic import write_atomically
from impasto.refine.objective import Losses
from impasto.refine.optimizer import State

__all__ = ["Position", "read_checkpoint", "write_checkpoint"]

FORMAT = "impasto-checkpoint-1"


@dataclass
class Position:
    """Where a run is.

    Attributes:
        level: index of the scale in the plan.
        step: steps done at this scale.
        state: the picture and the optimizer's memory; None before the first step.
        losses: one entry for every step so far.
        times: seconds since the beginning, after every step so far; pauses of a resumed run left out.
    """

    level: int = 0
    step: int = 0
    state: State | None = None
    losses: list[Losses] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Time spent so far."""
        return self.times[-1] if self.times else 0.0


def write_checkpoint(path: Path, position: Position, recipe: str) -> None:
    """Write ``position`` of the run that ``recipe`` (JSON) describes, all of it or nothing."""
    state = position.state
    if state is None:
        return
    tensors = {f"memory.{name}": tensor.cpu().contiguous() for name, tensor in state.memory.items()}
    tensors["image"] = state.image.cpu().contiguous()
    tensors["losses"] = torch.tensor(
        [
            [entry.content, entry.style, entry.total, seconds]
            for entry, seconds in zip(position.losses, position.times, strict=True)
        ],
        dtype=torch.float64,
    ).reshape(-1, 4)
    where = {"level": position.level, "step": position.step, "age": state.age}
    write_atomically(path, save(tensors, {"format": FORMAT, "recipe": recipe, "position": json.dumps(where)}))


def read_checkpoint(path: Path, recipe: str, device: str) -> Position:
    """The position in the file.

    Raises:
        ImpastoError: the file is damaged, or belongs to a run of another recipe.
    """
    try:
        with safe_open(str(path), framework="pt", device=device) as file:
            metadata = file.metadata() or {}
            # Copies, because a tensor inside a mapped file starts at any address, and sums depend on its alignment.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (no mapping)
        if metadata.get("format") != FORMAT:
            raise ImpastoError(f"{path}: not a checkpoint of impasto; remove it, or run without --resume")
        where = json.loads(metadata["position"])
        if metadata["recipe"] != recipe:
            raise ImpastoError(
                f"{path}: belongs to a run with other images or settings; repeat those, or remove it to begin anew"
            )
        memory = {name[7:]: tensor for name, tensor in tensors.items() if name.startswith("memory.")}
        rows = tensors["losses"].tolist()
        state = State(tensors["image"], where["age"], memory)
        return Position(
            where["level"], where["step"], state, [Losses(*row[:3]) for row in rows], [row[3] for row in rows]
        )
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise ImpastoError(f"{path}: a damaged checkpoint; remove it, or run without --resume") from error
