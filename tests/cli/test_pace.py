from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from impasto.cli.pace import TimeLeft
from impasto.job import Progress

from .traces import BRIEF, BUSY

Plan = Sequence[tuple[int, int]]

SCALES = ((64, 90), (128, 60), (256, 46), (512, 28))
LARGER = (*SCALES, (1024, 16), (2048, 10))


def record(step: int, scale: int, seconds: float, steps: int) -> Progress:
    return Progress(step, steps, scale, {}, 0.0, seconds)


def recorded(trace: dict[int, str]) -> tuple[Plan, list[float]]:
    """Scales, and the seconds that every step took."""
    plan = [(scale, len(text.split())) for scale, text in trace.items()]
    return plan, [int(part) / 100 for text in trace.values() for part in text.split()]


def costing(plan: Plan, fixed: float, first: Sequence[float] = (3,), noise: float = 0.0, seed: int = 0) -> list[float]:
    """Seconds of every step: those of its pixels and of a square of ``fixed`` more; a first step some times as many."""
    dice, times = random.Random(seed), []
    for scale, steps in plan:
        for step in range(steps):
            seconds = 4e-6 * (fixed**2 + scale**2) * dice.uniform(1 - noise, 1 + noise)
            times.append(seconds * (dice.choice(first) if step == 0 else 1))
    return times


def listen(plan: Plan, times: Sequence[float]) -> list[tuple[float, float | None, float]]:
    """After every step: seconds that have passed, seconds left as told, and as it turned out."""
    left, whole, passed, heard = TimeLeft(plan), sum(times), 0.0, []
    scales = [scale for scale, steps in plan for _ in range(steps)]
    for step, (scale, seconds) in enumerate(zip(scales, times, strict=True), 1):
        passed += seconds
        heard.append((passed, left(record(step, scale, passed, len(times))), whole - passed))
    return heard


def begins(heard: Sequence[tuple[float, float | None, float]]) -> float:
    """The share of the run before it tells; it then goes on to its end."""
    told = [left is not None for _, left, _ in heard]
    assert all(told[told.index(True) :])
    return heard[told.index(True)][0] / heard[-1][0]


def mistakes(heard: Sequence[tuple[float, float | None, float]]) -> list[float]:
    """As shares of what remained, from a tenth of the run until a twentieth before its end."""
    whole = heard[-1][0]
    between = [(left, truth) for passed, left, truth in heard if passed > whole / 10 and truth > whole / 20]
    return [abs(left - truth) / truth for left, truth in between if left is not None]


class TestRecordedRuns:
    def test_of_threads_that_spin_briefly(self) -> None:
        heard = listen(*recorded(BRIEF))
        assert begins(heard) < 0.36
        assert max(mistakes(heard)) < 0.2

    def test_of_threads_that_fight_over_the_cores(self) -> None:
        """A step at 384 px takes but twice one at 48 px, until the last scale nobody can know for how long."""
        heard = listen(*recorded(BUSY))
        assert begins(heard) < 0.81
        assert max(mistakes(heard)) < 0.11

    def test_of_one_thread_by_its_processor_time(self) -> None:
        """Median steps of the compact extractor with nothing in its way."""
        for paces, start in (((0.0363, 0.0861, 0.3342, 1.1421), 0.08), ((0.0311, 0.0518, 0.1754, 0.6807), 0.21)):
            times = [
                pace * (2.5 if step == 0 else 1)
                for (_, steps), pace in zip(SCALES, paces, strict=True)
                for step in range(steps)
            ]
            heard = listen(SCALES, times)
            assert begins(heard) < start
            assert max(mistakes(heard)) < 0.2


class TestModel:
    @pytest.mark.parametrize("fixed", [0, 30, 60, 100, 160, 300])
    @pytest.mark.parametrize("first", [1, 2, 4])
    @pytest.mark.parametrize("plan", [SCALES, LARGER, ((128, 25), (256, 18), (512, 11))])
    def test_a_fixed_part_and_one_for_the_pixels_is_found_to_the_second(
        self, plan: Plan, first: int, fixed: float
    ) -> None:
        heard = listen(plan, costing(plan, fixed, (first,)))
        assert begins(heard) < 0.77
        assert [left for _, left, _ in heard if left is not None] == pytest.approx(
            [truth for _, left, truth in heard if left is not None]
        )

    @pytest.mark.parametrize("plan", [SCALES, LARGER])
    def test_with_noise_and_a_dear_first_step(self, plan: Plan) -> None:
        """A fifth more or less, two to four times as dear."""
        found = []
        for fixed in (30, 60, 100, 160, 300):
            for seed in range(5):
                heard = listen(plan, costing(plan, fixed, (2, 3, 4), 0.2, seed))
                assert begins(heard) < (0.36 if fixed <= 160 else 0.76)
                found += mistakes(heard)
        assert max(found) < 0.4
        assert sum(mistake < 0.2 for mistake in found) > 0.9 * len(found)

    def test_nothing_is_told_of_the_scales_to_come_by_one_alone(self) -> None:
        heard = listen(SCALES, costing(SCALES, 60))
        assert [left for _, left, _ in heard[:92]] == [None] * 92

    def test_nothing_is_told_where_much_hangs_on_the_fixed_part(self) -> None:
        """At 64 and 128 px the machine is busy with something else than pixels."""
        heard = listen(SCALES, costing(SCALES, 300))
        assert [left for _, left, _ in heard[:195]] == [None] * 195

    def test_no_step_is_taken_to_grow_faster_than_its_pixels(self) -> None:
        """Five times at twice the side: what made it so is no fixed part below zero."""
        left, seconds = TimeLeft([(128, 9), (256, 9), (512, 9)]), 0.0
        for step in range(1, 19):
            seconds += 1 if step <= 9 else 5
            told = left(record(step, 128 if step <= 9 else 256, seconds, 27))
        assert told == 9 * 20

    def test_what_turns_out_to_be_wrong_is_taken_back(self) -> None:
        """Steps at 256 px take no longer than those at 128 px: the machine has become faster."""
        paces = [pace for pace, (_, steps) in zip((0.05, 0.2, 0.2), SCALES, strict=False) for _ in range(steps)]
        left, told = TimeLeft(SCALES), []
        scales = [scale for scale, steps in SCALES[:3] for _ in range(steps)]
        for step, scale in enumerate(scales, 1):
            told.append(left(record(step, scale, sum(paces[:step]), 224)))
        assert told[149] == pytest.approx(46 * 0.8 + 28 * 3.2)
        assert told[-1] is None


class TestSteps:
    @pytest.mark.parametrize("scales", [(), ((2048, 12),)])
    def test_equal_steps(self, scales: Plan) -> None:
        left = TimeLeft(scales)
        told = [left(record(step, 2048, 9 + 2 * step, 12)) for step in range(1, 13)]
        assert told == [None, None, *range(18, -1, -2)]

    def test_a_slow_step_now_and_then_does_not_count(self) -> None:
        """A preview is saved, a checkpoint written."""
        left = TimeLeft([(512, 100)])
        seconds = 0.0
        for step in range(1, 51):
            seconds += 4 if step % 10 == 0 else 1
            told = left(record(step, 512, seconds, 100))
        assert told == 50

    @pytest.mark.parametrize("steps", [1, 2, 3])
    def test_at_its_end_nothing_is_left_of_any_run(self, steps: int) -> None:
        assert TimeLeft([(64, 1), (128, steps)])(record(steps + 1, 128, 7, steps + 1)) == 0
        assert TimeLeft()(record(steps, 128, 7, steps)) == 0

    def test_a_plan_of_another_run_is_not_believed(self) -> None:
        for scales in ([(128, 7), (256, 7)], [(64, 90), (256, 10)]):
            left = TimeLeft(scales)
            told = [left(record(step, 128, step / 4, 100)) for step in range(1, 26)][-1]
            assert told == 75 / 4


class TestRunsThatGoOn:
    """The first record is of a step in the middle; its seconds are those of all steps before, on another day."""

    def test_at_the_last_scale(self) -> None:
        left = TimeLeft(SCALES)
        told = [left(record(step, 512, 9000 + 2 * step, 224)) for step in range(200, 204)]
        assert told == [None, None, 44, 42]

    def test_at_an_earlier_one(self) -> None:
        """It takes two scales again until something is known."""
        times = costing(SCALES, 60)
        left, passed, heard = TimeLeft(SCALES), 9000.0, []
        scales = [scale for scale, steps in SCALES for _ in range(steps)]
        for step in range(120, 225):
            passed += times[step - 1]
            heard.append((passed, left(record(step, scales[step - 1], passed, 224)), sum(times[step:])))
        told = [(told, truth) for _, told, truth in heard if told is not None]
        assert len(told) == 224 - 152  # Two steps at 256 px beside the first.
        assert [left for left, _ in told] == pytest.approx([truth for _, truth in told])

    def test_after_a_single_step(self) -> None:
        left = TimeLeft(SCALES)
        assert [left(record(step, 64, step, 224)) for step in (2, 3, 4)] == [None] * 3


def test_a_scale_that_ends_early() -> None:
    """20 of 90 steps and 50 of 60: what is left is counted from where the next scale begins."""
    taken = ((64, 20), (128, 50), (256, 46), (512, 28))
    left, step, passed, heard = TimeLeft(SCALES), 0, 0.0, []
    times = costing(taken, 30)
    for scale, steps in taken:
        for _ in range(steps):
            step, passed = step + 1, passed + times[step]
            heard.append((left(record(step, scale, passed, 224)), sum(times[step:])))
    told = [(told, truth) for told, truth in heard[70:] if told is not None]
    assert len(told) == 74
    assert [left for left, _ in told] == pytest.approx([truth for _, truth in told])
