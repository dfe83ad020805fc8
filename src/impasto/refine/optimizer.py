"""The loop: two algorithms that descend on pixels, one signature.

Both keep every pixel in [0, 1] at every step, so that the picture that is saved is the one whose loss was measured.
Both keep their state in plain tensors, so that a run can be stopped at any step and go on in the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from impasto.refine.space import IN_MEMORY, Memory, Space, Vector
from impasto.refine.spectrum import LIMITS

__all__ = ["Algorithm", "State", "adam", "lbfgs", "rate"]

Algorithm = Literal["lbfgs", "adam"]

#: Adam's steps in pixel values (black is 0, white is 1): from the first to the last step of a scale.
FIRST_RATE, LAST_RATE = 0.03, 0.006
BETAS = (0.9, 0.99)
#: L-BFGS forgets all older pairs after a step so much too long that the slope along it, from falling, has turned to
#: rising at this share of what it was: its model of the curvature is of another place.
OVERSHOT = 0.6
#: Stands in for a zero below a fraction line.
TINY = torch.finfo(torch.float32).tiny


@dataclass
class State:
    """The picture and what the optimizer remembers.

    Vectors as large as the picture (1, 3, h, w), the scalar s·y of each pair, and what :mod:`spectrum` keeps.
    """

    image: Tensor
    #: Steps taken since the optimizer last started from nothing.
    age: int = 0
    memory: Memory = field(default_factory=dict)

    def grown(self, image: Tensor, space: Space = IN_MEMORY) -> State:
        """The state at the next scale, where the picture is ``image``: what was learned is carried over.

        Args:
            image: (1, 3, H, W).
            space: where the vectors of the next scale are.
        """
        size = (image.shape[-2], image.shape[-1])
        area = image.shape[-2] * image.shape[-1] / (self.image.shape[-2] * self.image.shape[-1])
        # The losses are means over positions: with n times as many pixels each has a gradient n times smaller.
        power = {"first": 1, "second": 2, "y": 1}
        pairs = _pairs(self.memory)
        forgotten = {f"{part}{pair}" for part in "sy" for pair in pairs[: -space.history]}
        # The last picture and its gradient are of the old size, and so are the rings of frequencies.
        memory = {
            name: space.enlarged(vector, size, area ** power.get(name.rstrip("0123456789"), 0))
            for name, vector in self.memory.items()
            if name not in ("image", "gradient", "spectrum", *forgotten) and not name.startswith("sy")
        }
        for pair in _pairs(memory):
            curvature = space.dot(memory[f"s{pair}"], memory[f"y{pair}"])
            if curvature > 0:
                memory[f"sy{pair}"] = torch.tensor(curvature)
            else:  # Enlarging turned it negative: no guide.
                del memory[f"s{pair}"], memory[f"y{pair}"]
        return State(image, self.age, memory)


def _pairs(memory: Memory) -> list[int]:
    """Numbers of the pairs (s, y) that L-BFGS remembers, oldest first."""
    return sorted(int(name[1:]) for name in memory if name[0] == "s" and name[1:].isdigit())


def _scalar(vector: Vector) -> Tensor:
    """An entry of the memory that is not as large as the picture: always in memory."""
    assert isinstance(vector, Tensor)
    return vector


def rate(step: int, steps: int) -> float:
    """Adam's step size at ``step`` of ``steps`` (0-based), falling geometrically."""
    return float(FIRST_RATE * (LAST_RATE / FIRST_RATE) ** (step / max(1, steps - 1)))


@torch.no_grad()
def adam(state: State, gradient: Tensor, step_size: float, space: Space = IN_MEMORY) -> State:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980), projected to [0, 1] after every step."""
    age = state.age + 1
    image, memory = space.elementwise(partial(_adam, age=age, step_size=step_size), state.image, gradient, state.memory)
    return State(image, age, memory)


def _adam(image: Tensor, gradient: Tensor, memory: Memory, *, age: int, step_size: float) -> tuple[Tensor, Memory]:
    first_decay, second_decay = BETAS
    zeros = torch.zeros_like(gradient)
    first = torch.lerp(gradient, _scalar(memory.get("first", zeros)), first_decay)
    second = torch.lerp(gradient.square(), _scalar(memory.get("second", zeros)), second_decay)
    mean = first / (1 - first_decay**age)
    deviation = (second / (1 - second_decay**age)).sqrt_()
    # A gradient that is zero everywhere must not move the picture, and any scale of the loss must.
    moved = (image - step_size * mean / deviation.clamp_min_(TINY)).clamp_(0, 1)
    return moved, {"first": first, "second": second}


@torch.no_grad()
def lbfgs(
    state: State, gradient: Tensor, step_size: float, space: Space = IN_MEMORY, limit: float = LIMITS["relative"]
) -> State:
    """L-BFGS (Liu and Nocedal 1989), projected to [0, 1], without a line search, its H₀ from :mod:`spectrum`.

    Torch's own optimizer takes a first step of 1 / ‖g‖₁ over all pixels together, which at a million pixels is no step
    at all. Here the first step moves the average pixel by ``step_size``, and the curvature then sets the length.
    ``limit`` is that of :func:`impasto.refine.spectrum.precondition`.
    """
    memory = dict(state.memory)
    pairs = _pairs(memory)
    if "gradient" in memory:
        s, y = space.minus(state.image, memory["image"]), space.minus(gradient, memory["gradient"])
        if space.dot(s, gradient) > OVERSHOT * abs(space.dot(s, memory["gradient"])):
            memory, pairs = {}, []
        sy = space.dot(s, y)
        if sy > 1e-10 * space.dot(y, y):
            newest = pairs[-1] + 1 if pairs else 0
            memory[f"s{newest}"], memory[f"y{newest}"], memory[f"sy{newest}"] = s, y, torch.tensor(sy)
            known = memory.get("spectrum")
            memory["spectrum"] = space.accumulate(None if known is None else _scalar(known), s, y)
            pairs.append(newest)
            for old in pairs[: -space.history]:
                del memory[f"s{old}"], memory[f"y{old}"], memory[f"sy{old}"]
            pairs = pairs[-space.history :]
    memory["gradient"], memory["image"] = space.keep(gradient), space.keep(state.image)
    history = [(memory[f"s{pair}"], memory[f"y{pair}"]) for pair in pairs]
    curvature = [_scalar(memory[f"sy{pair}"]).item() for pair in pairs]

    # A pixel at the edge of the range that wants to leave it stays out of the model.
    direction = space.free(state.image, gradient)
    along = [0.0] * len(history)
    for index in reversed(range(len(history))):
        s, y = history[index]
        along[index] = space.dot(s, direction) / curvature[index]
        space.add(direction, y, -along[index])
    if "spectrum" in memory:
        direction = space.precondition(direction, _scalar(memory["spectrum"]), curvature[-1], limit)
    elif history:
        direction *= curvature[-1] / space.dot(history[-1][1], history[-1][1])
    else:
        direction *= step_size / max(space.size(direction), TINY)
    for index, (s, y) in enumerate(history):
        space.add(direction, s, along[index] - space.dot(y, direction) / curvature[index])
    return State(space.moved(state.image, direction), state.age + 1, memory)
