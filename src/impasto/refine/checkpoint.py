"""A stopped run is resumed: everything the loop knows, in one safetensors file."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.files.checkpoint import DIGEST, open_sealed, write_sealed
from impasto.refine.objective import Losses
from impasto.refine.optimizer import AdamMemory, LbfgsMemory, Pair, State
from impasto.refine.shelf import pieces
from impasto.refine.space import IN_MEMORY, Space, Vector

FORMAT = "impasto-checkpoint-3"
KINDS = {"F32": torch.float32, "F64": torch.float64}


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

    def move(self, level: int, step: int, state: State) -> None:
        """Be elsewhere, all at once: wherever Ctrl-C strikes, the three belong together."""
        self.__dict__.update(level=level, step=step, state=state)

    @property
    def seconds(self) -> float:
        """Time spent so far."""
        return self.times[-1] if self.times else 0.0


def write_checkpoint(path: Path, position: Position, recipe: str) -> None:
    """Write ``position`` of the run that ``recipe`` (JSON) describes, all of it or nothing."""
    state = position.state
    if state is None or not position.losses:
        return
    # Ctrl-C may strike between the lists: of a step that is not done there is one entry too many.
    pairs = list(zip(position.losses, position.times, strict=False))[: state.age]
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
    write_sealed(path, _safetensors(vectors, metadata))


def read_checkpoint(
    path: Path, recipe: str, device: str, space_of: Callable[[int], Space] = lambda level: IN_MEMORY
) -> Position:
    """The position of the run of ``recipe``: tensors on ``device``, vectors where ``space_of`` its level says.

    Raises:
        ImpastoError: the file cannot be read or is damaged, or belongs to a run of another recipe.
    """
    with open_sealed(path) as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        start, metadata = file.tell(), header.pop("__metadata__")
        if metadata["format"] != FORMAT:
            raise ImpastoError(f"{path}: not a checkpoint of impasto; remove it to begin anew")
        if metadata["recipe"] != recipe:
            raise ImpastoError(
                f"{path}: belongs to a run with other images, settings, versions or `threads`; "
                "repeat those, or remove it to begin anew"
            )
        where = json.loads(metadata["position"])
        shape, space = header["image"]["shape"], space_of(where["level"])

        def read(name: str) -> Tensor:
            return _read_tensor(file, start, header[name]).to(device)

        def vector(name: str) -> Vector:
            if header[name]["shape"] != shape:
                raise ValueError(name)
            return space.keep(read(name))

        memory = _read_memory(where["pairs"], header, vector, read)
        rows = read("losses").tolist()
        losses = [Losses(dict(zip(where["names"], row[:-2], strict=True)), row[-2]) for row in rows]
        state = State(read("image"), where["age"], memory)
        return Position(where["level"], where["step"], state, losses, [row[-1] for row in rows])


def _read_memory(
    count: int | None, names: Mapping[str, Any], vector: Callable[[str], Vector], read: Callable[[str], Tensor]
) -> AdamMemory | LbfgsMemory:
    """What the optimizer remembers: ``count`` pairs of L-BFGS, or Adam's two vectors where it is None."""
    if count is None:
        return AdamMemory(vector("first"), vector("second"))
    pairs = tuple(Pair(vector(f"s{i}"), vector(f"y{i}"), read(f"curvature{i}")) for i in range(count))
    image, gradient = (vector(name) if name in names else None for name in ("last_image", "last_gradient"))
    return LbfgsMemory(pairs, image, gradient, read("spectrum") if "spectrum" in names else None)


def _read_tensor(file: IO[bytes], start: int, entry: Mapping[str, Any]) -> Tensor:
    """One tensor of the file, whose numbers begin at byte ``start``."""
    (begin, end), dtype, room = entry["data_offsets"], KINDS[entry["dtype"]], os.fstat(file.fileno()).st_size
    if not 0 <= math.prod(entry["shape"]) * dtype.itemsize == end - begin <= room:
        raise ValueError(entry)
    tensor = torch.empty(entry["shape"], dtype=dtype)
    file.seek(start + begin)
    if file.readinto(tensor.view(-1).view(torch.uint8).numpy()) != end - begin:  # type: ignore[attr-defined]
        raise ValueError(entry)
    return tensor


def _safetensors(vectors: dict[str, Vector], metadata: dict[str, str]) -> Iterator[bytes | memoryview]:
    """The file part by part, there may be gigabytes; its last tensor is the digest that seals it."""
    kinds = {dtype: name for name, dtype in KINDS.items()}
    header: dict[str, object] = {"__metadata__": metadata}
    end = 0
    for name, vector in vectors.items():
        begin, end = end, end + vector.shape.numel() * vector.dtype.itemsize
        header[name] = {"dtype": kinds[vector.dtype], "shape": list(vector.shape), "data_offsets": [begin, end]}
    header["digest"] = {"dtype": "U8", "shape": [DIGEST], "data_offsets": [end, end + DIGEST]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for vector in vectors.values():
        if isinstance(vector, Tensor):
            yield vector.cpu().contiguous().numpy().data
        else:
            for start, stop in pieces(vector.count):
                yield vector.read(start, stop).cpu().numpy().data
