"""How long a run still takes, told from the steps that are done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from impasto.job import Progress

#: Steps at a scale, its first one aside, after which its pace is known.
MEASURED = 2
#: The time left is told where it would be at most so many times as long if all of a step were for its pixels, and taken
#: back where that grows beyond the second.
TRUST, DOUBT = 1.3, 1.6


class TimeLeft:
    """Seconds that remain, from the median step at every scale, and for scales to come from the two finest of these.

    A step costs a fixed part and a part for every pixel. How large the fixed part is no single scale tells: an idle
    machine hardly has one, on a busy one it can be all of a step at 64 px, and what comes after the first scale takes
    three times as long as it or thirty times. So nothing is told during the first of several scales, nor for as long as
    much hangs on the fixed part. With nothing in the way that is a tenth to a fifth of a run; of the recorded runs on a
    busy machine it was a third (threads that spin briefly) and four fifths (threads that fight over the cores). The
    first step of a scale, which also computes the targets, is counted apart.

    What is told is within 20 % of what then remains: in the recorded runs always, with noise of 20 % in nine steps out
    of ten, up to 35 % off in the others. It cannot foresee what else will run on the machine, nor that large scales are
    refined in tiles, whose pixels take half as long again.

    Args:
        scales: longest side and steps of every scale, coarsest first. Without, all steps are taken to be alike.
    """

    def __init__(self, scales: Sequence[tuple[int, int]] = ()) -> None:
        self._scales = dict(scales)
        self._before: Progress | None = None
        self._began = 0  # steps before this scale
        self._firsts: dict[int, float] = {}
        self._times: dict[int, list[float]] = {}
        self._told = False

    def __call__(self, record: Progress) -> float | None:
        """After this step; None as long as it is not known."""
        self._watch(record)
        if record.step == record.steps:
            return 0.0
        paces = {scale: median(times) for scale, times in self._times.items() if len(times) >= MEASURED}
        left = self._steps_left(record)
        known = sum(steps * paces[scale] for scale, steps in left.items() if scale in paces)
        ahead = {scale: steps for scale, steps in left.items() if scale not in paces}
        if not ahead:
            return known
        if len(paces) < 2:
            return None
        # That of the first scale, before which nothing was told, is left out: torch warms up in it.
        firsts = [self._firsts[scale] / pace for scale, pace in paces.items() if scale in self._firsts]
        for scale in ahead.keys() - {record.scale}:
            ahead[scale] += median(firsts) - 1
        likely, most = (known + _seconds(ahead, *parts) for parts in _costs(paces))
        self._told = most <= likely * (DOUBT if self._told else TRUST)
        return likely if self._told else None

    def _watch(self, record: Progress) -> None:
        before, self._before = self._before, record
        if before is None:
            # Of a run that goes on: what the steps before took is not told one by one.
            earlier = sum(steps for longest, steps in self._scales.items() if longest < record.scale)
            self._began = min(earlier, record.step - 1)
        elif record.scale != before.scale:
            self._began = before.step
            self._firsts[record.scale] = record.seconds - before.seconds
        else:
            self._times.setdefault(record.scale, []).append(record.seconds - before.seconds)

    def _steps_left(self, record: Progress) -> dict[int, float]:
        """At this scale and at those to come."""
        if record.scale not in self._scales or sum(self._scales.values()) != record.steps:
            return {record.scale: record.steps - record.step}
        here = self._scales[record.scale] - (record.step - self._began)
        later = {longest: steps for longest, steps in self._scales.items() if longest > record.scale}
        return {record.scale: max(0, here), **later}


def _costs(paces: Mapping[int, float]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Fixed part of a step and part for a pixel: as the two finest scales have it, and if it is all for the pixels."""
    coarse, fine = sorted(paces)[-2:]
    most = paces[fine] / fine**2
    a_pixel = min(max(0.0, (paces[fine] - paces[coarse]) / (fine**2 - coarse**2)), most)
    return (paces[fine] - a_pixel * fine**2, a_pixel), (0.0, most)


def _seconds(steps: Mapping[int, float], fixed: float, a_pixel: float) -> float:
    return sum(count * (fixed + a_pixel * longest**2) for longest, count in steps.items())
