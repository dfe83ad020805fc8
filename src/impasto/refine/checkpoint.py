"""A stopped run is resumed: everything the loop knows, in one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.files.atomic import write_atomically
from impasto.refine.objective import Losses
from impasto.refine.optimizer import AdamMemory, LbfgsMemory, Pair, State
from impasto.refine.shelf import pieces
from impasto.refine.space import IN_MEMORY, Space, Vector

FORMAT = "impasto-checkpoint-2"


@dataclass
class Position:
    """Where a run is: ``step`` steps are done at the scale ``level`` of the plan.

    ``losses`` and ``times``, in seconds without the pauses of a resumed run, have one entry for every step so far.
    ``state`` is None before the first one.
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
    if state is None or not position.losses:
        return
    pairs = zip(position.losses, position.times, strict=True)
    losses = [[*entry.terms.values(), entry.total, seconds] for entry, seconds in pairs]
    # Numbers of eight bytes first, so that all lie at multiples of their size.
    vectors: dict[str, Vector] = {"losses": torch.tensor(losses, dtype=torch.float64), "image": state.image}
    memory = state.memory
    if isinstance(memory, AdamMemory):
        vectors |= {"first": memory.first, "second": memory.second}
    elif isinstance(memory, LbfgsMemory):
        last = {"last_image": memory.image, "last_gradient": memory.gradient, "spectrum": memory.spectrum}
        vectors |= {name: vector for name, vector in last.items() if vector is not None}
        for index, pair in enumerate(memory.pairs):
            vectors |= {f"s{index}": pair.s, f"y{index}": pair.y, f"curvature{index}": pair.curvature}
    names, count = list(position.losses[-1].terms), len(memory.pairs) if isinstance(memory, LbfgsMemory) else None
    where = {"level": position.level, "step": position.step, "age": state.age, "names": names, "pairs": count}
    metadata = {"format": FORMAT, "recipe": recipe, "position": json.dumps(where)}
    write_atomically(path, _safetensors(vectors, metadata))


def read_checkpoint(
    path: Path, recipe: str, device: str, space_of: Callable[[int], Space] = lambda level: IN_MEMORY
) -> Position:
    """The position of the run of ``recipe``: tensors on ``device``, vectors where ``space_of`` its level says.

    Raises:
        ImpastoError: the file is damaged, or belongs to a run of another recipe.
    """
    try:
        with safe_open(str(path), framework="pt", device=device) as file:
            metadata, names = file.metadata() or {}, sorted(file.keys())
        if metadata.get("format") != FORMAT:
            raise ImpastoError(f"{path}: not a checkpoint of impasto; remove it to begin anew")
        where = json.loads(metadata["position"])
        if metadata["recipe"] != recipe:
            raise ImpastoError(
                f"{path}: belongs to a run with other images, settings, versions or `threads`; "
                "repeat those, or remove it to begin anew"
            )
        space, image = space_of(where["level"]), _read_tensor(path, "image", device)

        def read(name: str) -> Vector:
            tensor = _read_tensor(path, name, device)
            return space.keep(tensor) if tensor.shape == image.shape else tensor

        memory = _read_memory(where["pairs"], names, read)
        rows = _read_tensor(path, "losses", device).tolist()
        losses = [Losses(dict(zip(where["names"], row[:-2], strict=True)), row[-2]) for row in rows]
        state = State(image, where["age"], memory)
        return Position(where["level"], where["step"], state, losses, [row[-1] for row in rows])
    except ImpastoError:
        raise
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ImpastoError(f"{path}: a damaged checkpoint; remove it to begin anew") from error


def _read_memory(count: int | None, names: list[str], read: Callable[[str], Any]) -> AdamMemory | LbfgsMemory:
    """What the optimizer remembers: ``count`` pairs of L-BFGS, or Adam's two vectors where it is None."""
    if count is None:
        return AdamMemory(read("first"), read("second"))
    pairs = (Pair(read(f"s{index}"), read(f"y{index}"), read(f"curvature{index}")) for index in range(count))
    last = (read(name) if name in names else None for name in ("last_image", "last_gradient", "spectrum"))
    return LbfgsMemory(tuple(pairs), *last)


def _read_tensor(path: Path, name: str, device: str) -> Tensor:
    """One tensor of the file, which is open, and so in memory, for no longer than that."""
    with safe_open(str(path), framework="pt", device=device) as file:
        # A copy, because a tensor inside a mapped file starts at any address, and sums depend on its alignment.
        return file.get_tensor(name).clone()


def _safetensors(vectors: dict[str, Vector], metadata: dict[str, str]) -> Iterator[bytes | memoryview]:
    """The file part by part: there may be gigabytes."""
    kinds = {torch.float32: "F32", torch.float64: "F64"}
    header: dict[str, object] = {"__metadata__": metadata}
    end = 0
    for name, vector in vectors.items():
        begin, end = end, end + vector.shape.numel() * vector.dtype.itemsize
        header[name] = {"dtype": kinds[vector.dtype], "shape": list(vector.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for vector in vectors.values():
        if isinstance(vector, Tensor):
            yield vector.cpu().contiguous().numpy().data
        else:
            for start, stop in pieces(vector.count):
                yield vector.read(start, stop).cpu().numpy().data
