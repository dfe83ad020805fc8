"""Gatys et al. 2015 from the coarsest scale to the finest."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from torch import Tensor

from impasto.color import luminance
from impasto.errors import ImpastoError
from impasto.features.extractor import Extractor
from impasto.images import resize
from impasto.machine import give_memory_back
from impasto.refine.budget import Budget, space_for
from impasto.refine.checkpoint import Position
from impasto.refine.objective import Objective, View, Whole
from impasto.refine.optimizer import State, adam, lbfgs, rate
from impasto.refine.places import by_positions, copies
from impasto.refine.pyramid import Scale, brushwork, enlarge, fit, fit_style, size_of
from impasto.refine.space import ON_DISK
from impasto.refine.spectrum import LIMITS
from impasto.refine.tiled import Tiled
from impasto.settings import Settings

#: Steps after which memory is given back, where there are no tiles: what the optimizer remembers comes to lie in the
#: room of larger blocks, which then find another place, and the process grows from step to step.
TIDY = 5
#: The photograph's finest drawing stands out by so many deviations of the paintings' finest strokes, and hardly more.
STANDS_OUT = 2.0


def descend(
    content: Tensor,
    styles: Sequence[Tensor],
    extractor: Extractor,
    settings: Settings,
    scales: Sequence[Scale],
    start: Callable[[tuple[int, int]], Tensor],
    *,
    budget: Budget | None = None,
    position: Position | None = None,
    after_step: Callable[[Position], bool | None] = lambda position: None,
    gray: bool = False,
) -> Tensor:
    """The picture (1, 3, h, w) in [0, 1] after all scales.

    Args:
        content: the photograph (1, 3, H, W) at any size; or (1, 4, H, W) with an alpha channel.
        styles: the paintings, each (1, 3, H', W') at any size; likewise.
        extractor: where the features come from.
        settings: what weighs how much, the optimizer and the precision (``bf16``, or else float32).
        scales: from :func:`impasto.refine.pyramid.plan`.
        start: gives the first picture (1, 3, h, w) for a size (h, w).
        budget: scales that take more memory are refined in tiles, with the optimizer's memory on the disk.
        position: where to go on; changed in place, from step to step.
        after_step: called after each step; returning True stops the run.
        gray: whether the picture gets no colors.

    Raises:
        ImpastoError: a loss is not a number; or the budget is too small.
    """
    position = position or Position()
    began = time.monotonic() - position.seconds
    step_of = adam if settings.optimizer == "adam" else partial(lbfgs, limit=LIMITS[settings.normalization])
    for level in range(position.level, len(scales)):
        photograph = fit(content, scales[level].longest)
        size = size_of(photograph)
        space = space_for(budget, *size)
        if position.state is None:
            first = resize(start(size), size)
            position.move(level, 0, State(luminance(first).expand_as(first).contiguous() if gray else first))
        elif level > position.level:
            coarse = fit(content[:, :3], scales[level - 1].longest)
            detail, limit = settings.resolved_detail, 0.0
            if detail:
                limit = STANDS_OUT * _brushwork(settings, styles, scales[level].longest)
            larger = enlarge(position.state.image, coarse, photograph[:, :3], detail, limit)
            position.move(level, 0, position.state.grown(larger, space))
            del coarse, larger
        state = position.state
        assert state is not None
        view = _view(extractor, settings, photograph, budget if space is ON_DISK else None)
        objective = _objective(settings, photograph, styles, view, (scales[level].longest / scales[-1].longest) ** 2)
        del photograph
        for step in range(position.step, scales[level].steps):
            gradient, losses = objective(state.image)
            if gray:
                gradient.copy_(gradient.mean(dim=1, keepdim=True))
            _check_finite(losses.total, len(position.losses) + 1)
            state = step_of(state, gradient, rate(step, scales[level].steps), space)
            del gradient
            if step % TIDY == 0 or step + 1 == scales[level].steps:
                give_memory_back()
            position.losses.append(losses)
            position.times.append(time.monotonic() - began)
            position.move(level, step + 1, state)
            if after_step(position):
                return state.image
    assert position.state is not None
    return position.state.image


def _brushwork(settings: Settings, styles: Sequence[Tensor], longest: int) -> float:
    shares = settings.shares(len(styles))
    return sum(share * brushwork(style, longest) for share, style in zip(shares, styles, strict=True))


def _check_finite(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        mend = "take `precision=fp32`, or a smaller `content_weight` or `tv_weight`"
        raise ImpastoError(f"step {step}: the loss is {loss}; {mend}")


def _objective(settings: Settings, photograph: Tensor, styles: Sequence[Tensor], view: View, area: float) -> Objective:
    size, layers = size_of(photograph), settings.layers_of_style
    smallest = view.extractor.smallest_side([*settings.layers_of_content, *layers])
    paintings = (
        (copy, part * share)
        for style, share in zip(styles, settings.shares(len(styles)), strict=True)
        for copy, part in copies(fit_style(style, max(size), smallest), photograph)
    )
    weighed = replace(settings, style_layers=by_positions(layers, size))
    return Objective.of(weighed, photograph, paintings, view, area=area)


def _view(extractor: Extractor, settings: Settings, photograph: Tensor, budget: Budget | None) -> View:
    bf16 = settings.precision == "bf16"
    if budget is None:
        return Whole(extractor, bf16=bf16)
    return Tiled(extractor, budget.tiling(*size_of(photograph)), photograph.device, bf16=bf16)
