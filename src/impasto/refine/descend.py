"""Gatys et al. 2015 from the coarsest scale to the finest."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor

from impasto.errors import ImpastoError
from impasto.features.extractor import Extractor
from impasto.images import resize
from impasto.machine import give_memory_back
from impasto.refine.budget import Budget, space_for
from impasto.refine.checkpoint import Position
from impasto.refine.objective import Objective, Weights
from impasto.refine.optimizer import Algorithm, State, adam, lbfgs, rate
from impasto.refine.pyramid import Scale, enlarge, fit, fit_style
from impasto.refine.space import ON_DISK
from impasto.refine.spectrum import LIMITS
from impasto.refine.tiles import TiledObjective

__all__ = ["descend"]

#: Steps after which memory between blocks is given back, where there are no tiles: what the optimizer remembers comes
#: to lie in the room of larger blocks, which then find another place, and the process grows from step to step.
TIDY = 5


def descend(
    content: Tensor,
    styles: Sequence[Tensor],
    extractor: Extractor,
    weights: Weights,
    scales: Sequence[Scale],
    algorithm: Algorithm,
    start: Callable[[tuple[int, int]], Tensor],
    *,
    detail: float,
    bf16: bool = False,
    budget: Budget | None = None,
    position: Position | None = None,
    after_step: Callable[[Position], bool | None] = lambda position: None,
) -> Tensor:
    """Paint.

    Args:
        content: the photograph (1, 3, H, W) at any size.
        styles: the paintings, each (1, 3, H', W') at any size.
        extractor: where the features come from.
        weights: what counts how much.
        scales: from :func:`impasto.refine.pyramid.plan`.
        algorithm: ``adam`` or ``lbfgs``.
        start: gives the first picture (1, 3, h, w) for a size (h, w).
        detail: how much of the photograph's fine detail enters the picture at each new scale, 0 to 1.
        bf16: run the extractor in bfloat16.
        budget: scales that take more memory are looked at tile by tile, and what the optimizer remembers of them is on
            the disk.
        position: where to go on; changed in place, from step to step.
        after_step: called after each step; returning True stops the run.

    Returns:
        The picture (1, 3, h, w) in [0, 1].

    Raises:
        ImpastoError: a loss is not a number; or the budget is too small.
    """
    position = position or Position()
    step_of = adam if algorithm == "adam" else partial(lbfgs, limit=LIMITS[weights.normalization])
    began = time.monotonic() - position.seconds
    smallest = extractor.smallest_side([*weights.content_layers, *weights.style_layers])
    state = position.state
    for level in range(position.level, len(scales)):
        scale = scales[level]
        photograph = fit(content, scale.longest)
        size = (photograph.shape[-2], photograph.shape[-1])
        space = space_for(budget, *size)
        tiled = space is ON_DISK
        if state is None:
            state = State(resize(start(size), size))
        elif level > position.level:
            coarse = fit(content, scales[level - 1].longest)
            state = state.grown(enlarge(state.image, coarse, photograph, detail), space)
            position.level, position.step, position.state = level, 0, state
            del coarse
        paintings = (fit_style(style, scale.longest, smallest) for style in styles)
        area = (scale.longest / scales[-1].longest) ** 2
        objective: Objective | TiledObjective
        if budget is not None and tiled:
            tiling = budget.tiling(*size)
            objective = TiledObjective(extractor, photograph, paintings, weights, tiling, area=area, bf16=bf16)
        else:
            objective = Objective(extractor, photograph, list(paintings), weights, area=area, bf16=bf16)
        del photograph
        for step in range(position.step, scale.steps):
            gradient, losses = objective(state.image)
            if not math.isfinite(losses.total):
                raise ImpastoError(
                    f"step {len(position.losses) + 1}: the loss is {losses.total}; "
                    "use --precision fp32, or a smaller --content-weight or --tv-weight"
                )
            state = step_of(state, gradient, rate(step, scale.steps), space)
            del gradient
            if step % TIDY == 0 or step + 1 == scale.steps:
                give_memory_back()
            position.step, position.state = step + 1, state
            position.losses.append(losses)
            position.times.append(time.monotonic() - began)
            if after_step(position):
                return state.image
    assert state is not None
    return state.image
