"""How few steps make a picture as good as another's? A search over the steps and λ; it knows no program."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: How content error falls along λ, in powers: until two pictures tell, and within what bounds they are believed.
FALL, STEEPEST, FLATTEST = -0.7, -3.0, -0.2
#: The search aims a little below the mark's content error, and takes that for close enough.
AIM, CLOSE = 0.985, 0.96
#: λ tried for one number of steps, at most.
TRIES = 4
SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-6, 1.0


@dataclass(frozen=True)
class Quality:
    """What the judge says of a picture; less is better for both."""

    style_share: float
    content_error: float

    def as_good_as(self, mark: Quality) -> bool:
        """Both at most the mark's."""
        return self.style_share <= mark.style_share and self.content_error <= mark.content_error


@dataclass(frozen=True)
class Found:
    """Settings whose picture is as good as the mark."""

    steps: int
    weight: float
    quality: Quality


Probe = Callable[[int, float], Quality]


def ladder(fewest: int = 12, most: int = 400, ratio: float = 1.2) -> list[int]:
    """Numbers of steps to choose from, each a ``ratio`` times the one before."""
    rungs = [float(fewest)]
    while rungs[-1] * ratio <= most:
        rungs.append(rungs[-1] * ratio)
    return sorted({round(rung) for rung in rungs})


def power(known: Sequence[tuple[float, float]]) -> float:
    """The power of λ by which content error falls between the last two of (λ, content error)."""
    if len(known) < 2:
        return FALL
    (first, one), (second, other) = known[-2:]
    return min(max(math.log(other / one) / math.log(second / first), STEEPEST), FLATTEST)


def next_weight(known: Sequence[tuple[float, float]], mark: float) -> float:
    """The λ at which content error would be just below the mark's, from (λ, content error) of pictures so far."""
    weight, error = known[-1]
    wanted = weight * (AIM * mark / error) ** (1 / power(known))
    wanted = min(max(wanted, weight / 20), weight * 20)
    return float(f"{min(max(wanted, SMALLEST_WEIGHT), LARGEST_WEIGHT):.3g}")


def fit_weight(probe: Probe, steps: int, weight: float, mark: Quality) -> Found | None:
    """A λ at which this many steps are enough, if there is one.

    A larger λ lowers content error and raises style share. So no λ helps where both are too large, nor where style
    share is too large at a content error just below the mark's.
    """
    known: list[tuple[float, float]] = []
    while len(known) < TRIES and weight not in dict(known):
        quality = probe(steps, weight)
        if quality.as_good_as(mark):
            return Found(steps, weight, quality)
        if quality.style_share > mark.style_share and quality.content_error >= CLOSE * mark.content_error:
            return None
        known.append((weight, max(quality.content_error, 1e-9)))
        weight = next_weight(known, mark.content_error)
    return None


def fewest_steps(probe: Probe, mark: Quality, rungs: Sequence[int], weight: float = 1e-3) -> Found | None:
    """The lowest rung that is enough, by halving: more steps are never worse. None if the highest is not enough.

    Args:
        probe: makes a picture with so many steps and this λ, and says how good it is.
        mark: what is to be reached.
        rungs: numbers of steps, rising.
        weight: the λ to begin with.
    """
    found = None
    low, high = 0, len(rungs)
    while low < high:
        middle = (low + high) // 2
        here = fit_weight(probe, rungs[middle], found.weight if found else weight, mark)
        if here:
            found, high = here, middle
        else:
            low = middle + 1
    return found
