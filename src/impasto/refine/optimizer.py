"""Two algorithms that descend on pixels, with one signature.

Both keep every pixel in [0, 1] at every step, so that the picture that is saved is the one whose loss was measured, and
their state in plain tensors, so that a run can be stopped at any step and resumed in the same bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from impasto.refine import spectrum
from impasto.refine.pyramid import size_of
from impasto.refine.space import IN_MEMORY, Space, Vector
from impasto.refine.spectrum import LIMITS

#: Adam's steps in pixel values (black is 0, white is 1): from the first to the last step of a scale.
FIRST_RATE, LAST_RATE = 0.03, 0.006
BETAS = (0.9, 0.99)
#: L-BFGS forgets all older pairs after a step that overshoots: the slope along it, falling at first, ends up rising at
#: more than this share of what it was.
OVERSHOT = 0.6
#: Stands in for a zero in a denominator.
TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class AdamMemory:
    """What Adam remembers: running means of the gradient and of its square, as large as the picture."""

    first: Vector
    second: Vector

    def grown(self, space: Space, size: tuple[int, int], area: float) -> AdamMemory:
        """At the next scale, see :meth:`State.grown`."""
        return AdamMemory(space.enlarged(self.first, size, area), space.enlarged(self.second, size, area**2))


@dataclass(frozen=True)
class Pair:
    """A displacement s of the picture, the change y of its gradient, and s·y as a float32 scalar."""

    s: Vector
    y: Vector
    curvature: Tensor


@dataclass(frozen=True)
class LbfgsMemory:
    """What L-BFGS remembers: pairs, oldest first, the last picture and its gradient, the sums of ``spectrum``.

    All but the pairs are None after a change of scale.
    """

    pairs: tuple[Pair, ...] = ()
    image: Vector | None = None
    gradient: Vector | None = None
    spectrum: Tensor | None = None

    def grown(self, space: Space, size: tuple[int, int], area: float) -> LbfgsMemory:
        """At the next scale, see :meth:`State.grown`; the last picture and its spectrum are of the old one."""
        pairs: tuple[Pair, ...] = ()
        for pair in self.pairs[-space.history :]:
            s, y = space.enlarged(pair.s, size, 1), space.enlarged(pair.y, size, area)
            if (curvature := space.dot(s, y)) > 0:  # Enlarging may turn it negative: no guide.
                pairs += (Pair(s, y, torch.tensor(curvature, dtype=torch.float32)),)
        return LbfgsMemory(pairs)


@dataclass
class State:
    """The picture (1, 3, h, w) in [0, 1], the steps taken, and what the optimizer remembers after the first one."""

    image: Tensor
    age: int = 0
    memory: AdamMemory | LbfgsMemory | None = None

    def grown(self, image: Tensor, space: Space = IN_MEMORY) -> State:
        """The state at the next scale, its picture ``image`` (1, 3, H, W) and its vectors in ``space``.

        The losses are means over positions: with n times as many pixels each has a gradient n times smaller.
        """
        area = math.prod(size_of(image)) / math.prod(size_of(self.image))
        return State(image, self.age, self.memory and self.memory.grown(space, size_of(image), area))


def rate(step: int, steps: int) -> float:
    """Adam's step size at ``step`` of ``steps`` (0-based), falling geometrically."""
    return float(FIRST_RATE * (LAST_RATE / FIRST_RATE) ** (step / max(1, steps - 1)))


@torch.no_grad()
def adam(state: State, gradient: Tensor, step_size: float, space: Space = IN_MEMORY) -> State:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980), projected to [0, 1] after every step."""
    age, known = state.age + 1, state.memory
    vectors = (known.first, known.second) if isinstance(known, AdamMemory) else ()
    rule = partial(_adam, age=age, step_size=step_size)
    image, (first, second) = space.elementwise(rule, state.image, gradient, vectors)
    return State(image, age, AdamMemory(first, second))


def _adam(
    image: Tensor, gradient: Tensor, vectors: tuple[Tensor, ...], *, age: int, step_size: float
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    first_decay, second_decay = BETAS
    zeros = torch.zeros_like(gradient)
    first, second = vectors or (zeros, zeros)
    first = torch.lerp(gradient, first, first_decay)
    second = torch.lerp(gradient.square(), second, second_decay)
    mean = first / (1 - first_decay**age)
    deviation = (second / (1 - second_decay**age)).sqrt_()
    # A gradient that is zero everywhere must not move the picture, and any scale of the loss must.
    moved = (image - step_size * mean / deviation.clamp_min_(TINY)).clamp_(0, 1)
    return moved, (first, second)


@torch.no_grad()
def lbfgs(
    state: State, gradient: Tensor, step_size: float, space: Space = IN_MEMORY, limit: float = LIMITS["relative"]
) -> State:
    """L-BFGS (Liu and Nocedal 1989), projected to [0, 1], without a line search, its H₀ from :mod:`spectrum`.

    The first step moves the average pixel by ``step_size``, and the curvature then sets the length: torch's own first
    step, 1 / ‖g‖₁ over all pixels together, hardly moves a large picture. For ``limit`` see ``spectrum.LIMITS``.
    """
    memory = _remember(state, gradient, space)
    direction = space.free(state.image, gradient)
    curvature = [pair.curvature.item() for pair in memory.pairs]
    along = [0.0] * len(curvature)
    for index in reversed(range(len(curvature))):
        along[index] = space.dot(memory.pairs[index].s, direction) / curvature[index]
        space.add(direction, memory.pairs[index].y, -along[index])
    known, newest = memory.spectrum, curvature[-1] if curvature else 1.0
    if known is None:
        square = space.dot(memory.pairs[-1].y, memory.pairs[-1].y) if curvature else 1.0
        known = spectrum.unknown(square, direction.device)
    direction = space.precondition(direction, known, newest, limit)
    if not curvature:
        direction *= step_size / max(space.size(direction), TINY)
    for index, pair in enumerate(memory.pairs):
        space.add(direction, pair.s, along[index] - space.dot(pair.y, direction) / curvature[index])
    return State(space.moved(state.image, direction), state.age + 1, memory)


def _remember(state: State, gradient: Tensor, space: Space) -> LbfgsMemory:
    """The memory of L-BFGS with what the last step has shown."""
    known = state.memory if isinstance(state.memory, LbfgsMemory) else LbfgsMemory()
    pairs, sums = known.pairs, known.spectrum
    if known.image is not None and known.gradient is not None:
        s, y = space.minus(state.image, known.image), space.minus(gradient, known.gradient)
        if space.dot(s, gradient) > OVERSHOT * abs(space.dot(s, known.gradient)):
            pairs, sums = (), None
        curvature = space.dot(s, y)
        if curvature > 1e-10 * space.dot(y, y):
            pairs = (*pairs, Pair(s, y, torch.tensor(curvature, dtype=torch.float32)))[-space.history :]
            sums = space.accumulate(sums, s, y)
    return LbfgsMemory(pairs, space.keep(state.image), space.keep(gradient), sums)
