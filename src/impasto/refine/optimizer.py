"""The loop: two algorithms that descend on pixels, one signature.

Both keep every pixel in [0, 1] at every step, so that the picture that is saved is the one whose loss was measured.
Both keep their state in plain tensors, so that a run can be stopped at any step and go on in the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from impasto.refine.pyramid import carry_over
from impasto.refine.spectrum import accumulate, precondition

__all__ = ["Algorithm", "State", "adam", "lbfgs", "rate"]

Algorithm = Literal["lbfgs", "adam"]

#: Adam's steps in pixel values (black is 0, white is 1): from the first to the last step of a scale.
FIRST_RATE, LAST_RATE = 0.03, 0.006
BETAS = (0.9, 0.99)
#: How many pairs of displacement and gradient change L-BFGS remembers.
HISTORY = 10
#: L-BFGS moves no pixel further than this in one step.
FARTHEST = 0.15
#: L-BFGS forgets all older pairs after a step so much too long that the slope along it, from falling, has turned to
#: rising at this share of what it was: its model of the curvature is of another place.
OVERSHOT = 0.6
#: Stands in for a zero below a fraction line.
TINY = torch.finfo(torch.float32).tiny


@dataclass
class State:
    """The picture and what the optimizer remembers.

    Tensors (1, 3, h, w), the scalar s·y of each pair, and what :mod:`spectrum` keeps.
    """

    image: Tensor
    #: Steps taken since the optimizer last started from nothing.
    age: int = 0
    memory: dict[str, Tensor] = field(default_factory=dict)

    def grown(self, image: Tensor) -> State:
        """The state at the next scale, where the picture is ``image``: what was learned is carried over."""
        size = (image.shape[-2], image.shape[-1])
        area = image.shape[-2] * image.shape[-1] / (self.image.shape[-2] * self.image.shape[-1])
        # The losses are means over positions: with n times as many pixels each has a gradient n times smaller.
        power = {"first": 1, "second": 2, "y": 1}
        # The last picture and its gradient are of the old size, and so are the rings of frequencies.
        memory = {
            name: carry_over(tensor, size) / area ** power.get(name.rstrip("0123456789"), 0)
            for name, tensor in self.memory.items()
            if name not in ("image", "gradient", "spectrum") and not name.startswith("sy")
        }
        for pair in _pairs(memory):
            curvature = _dot(memory[f"s{pair}"], memory[f"y{pair}"])
            if curvature > 0:
                memory[f"sy{pair}"] = torch.tensor(curvature)
            else:  # Enlarging turned it negative: no guide.
                del memory[f"s{pair}"], memory[f"y{pair}"]
        return State(image, self.age, memory)


def _pairs(memory: dict[str, Tensor]) -> list[int]:
    """Numbers of the pairs (s, y) that L-BFGS remembers, oldest first."""
    return sorted(int(name[1:]) for name in memory if name[0] == "s" and name[1:].isdigit())


def _dot(a: Tensor, b: Tensor) -> float:
    return torch.dot(a.flatten(), b.flatten()).item()


def rate(step: int, steps: int) -> float:
    """Adam's step size at ``step`` of ``steps`` (0-based), falling geometrically."""
    return float(FIRST_RATE * (LAST_RATE / FIRST_RATE) ** (step / max(1, steps - 1)))


@torch.no_grad()
def adam(state: State, gradient: Tensor, step_size: float) -> State:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980), projected to [0, 1] after every step."""
    first_decay, second_decay = BETAS
    zeros = torch.zeros_like(gradient)
    first = torch.lerp(gradient, state.memory.get("first", zeros), first_decay)
    second = torch.lerp(gradient.square(), state.memory.get("second", zeros), second_decay)
    age = state.age + 1
    mean = first / (1 - first_decay**age)
    deviation = (second / (1 - second_decay**age)).sqrt_()
    # A gradient that is zero everywhere must not move the picture, and any scale of the loss must.
    image = (state.image - step_size * mean / deviation.clamp_min_(TINY)).clamp_(0, 1)
    return State(image, age, {"first": first, "second": second})


@torch.no_grad()
def lbfgs(state: State, gradient: Tensor, step_size: float) -> State:
    """L-BFGS (Liu and Nocedal 1989), projected to [0, 1], without a line search, its H₀ from :mod:`spectrum`.

    Torch's own optimizer takes a first step of 1 / ‖g‖₁ over all pixels together, which at a million pixels is no step
    at all. Here the first step moves the average pixel by ``step_size``, and the curvature then sets the length.
    """
    memory = dict(state.memory)
    pairs = _pairs(memory)
    if "gradient" in memory:
        s, y = state.image - memory["image"], gradient - memory["gradient"]
        if _dot(s, gradient) > OVERSHOT * abs(_dot(s, memory["gradient"])):
            memory, pairs = {}, []
        sy = _dot(s, y)
        if sy > 1e-10 * _dot(y, y):
            newest = pairs[-1] + 1 if pairs else 0
            memory[f"s{newest}"], memory[f"y{newest}"], memory[f"sy{newest}"] = s, y, torch.tensor(sy)
            memory["spectrum"] = accumulate(memory.get("spectrum"), s, y)
            pairs.append(newest)
            for old in pairs[:-HISTORY]:
                del memory[f"s{old}"], memory[f"y{old}"], memory[f"sy{old}"]
            pairs = pairs[-HISTORY:]
    history = [(memory[f"s{pair}"], memory[f"y{pair}"]) for pair in pairs]
    curvature = [memory[f"sy{pair}"].item() for pair in pairs]

    # A pixel at the edge of the range that wants to leave it stays out of the model.
    stuck = ((state.image <= 0) & (gradient > 0)) | ((state.image >= 1) & (gradient < 0))
    direction = gradient.masked_fill(stuck, 0)
    along = [0.0] * len(history)
    for index in reversed(range(len(history))):
        s, y = history[index]
        along[index] = _dot(s, direction) / curvature[index]
        direction.sub_(y, alpha=along[index])
    if "spectrum" in memory:
        direction = precondition(direction, memory["spectrum"], curvature[-1])
    elif history:
        direction *= curvature[-1] / _dot(history[-1][1], history[-1][1])
    else:
        direction *= step_size / max(direction.abs().mean().item(), TINY)
    for index, (s, y) in enumerate(history):
        direction.add_(s, alpha=along[index] - _dot(y, direction) / curvature[index])
    memory["gradient"], memory["image"] = gradient, state.image
    image = (state.image - direction.clamp_(-FARTHEST, FARTHEST)).clamp_(0, 1)
    return State(image, state.age + 1, memory)
