from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marks import LARGEST_WEIGHT, SMALLEST_WEIGHT, Quality, fewest_steps, fit_weight, ladder, next_weight, power

#: As the search tries them, of three digits.
WEIGHTS = st.floats(SMALLEST_WEIGHT, LARGEST_WEIGHT).map(lambda weight: float(f"{weight:.3g}"))


class Program:
    """Content error falls along λ and style share rises; style share falls with the steps."""

    def __init__(self, power: float = -0.7, floor: float = 0.02) -> None:
        self.power, self.floor = power, floor
        self.asked: list[tuple[int, float]] = []

    def quality(self, steps: int, weight: float) -> Quality:
        return Quality((self.floor + 4 / steps) * (weight / 1e-3) ** 0.5, 0.5 * (weight / 1e-3) ** self.power)

    def __call__(self, steps: int, weight: float) -> Quality:
        self.asked.append((steps, weight))
        return self.quality(steps, weight)


class TestQuality:
    def test_both_count(self) -> None:
        mark = Quality(0.1, 0.4)
        assert Quality(0.1, 0.4).as_good_as(mark)
        assert not Quality(0.05, 0.41).as_good_as(mark)
        assert not Quality(0.11, 0.3).as_good_as(mark)


class TestLadder:
    def test_rises_by_the_ratio(self) -> None:
        rungs = ladder(12, 400, 1.2)
        assert rungs[0] == 12
        assert 400 / 1.2 < rungs[-1] <= 400
        assert all(1 < b / a < 1.3 for a, b in pairwise(rungs))


class TestNextWeight:
    def test_less_content_error_takes_a_larger_weight(self) -> None:
        assert next_weight([(1e-3, 0.5)], mark=0.4) > 1e-3 > next_weight([(1e-3, 0.3)], mark=0.4)

    def test_two_pictures_tell_the_power(self) -> None:
        assert power([(1e-3, 0.5), (4e-3, 0.25)]) == pytest.approx(-0.5)
        # 0.985 of 0.2, from 0.25, at a power of -0.5.
        assert next_weight([(1e-3, 0.5), (4e-3, 0.25)], mark=0.2) == pytest.approx(4e-3 * (0.25 / 0.197) ** 2, rel=5e-3)

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.tuples(WEIGHTS, st.floats(1e-9, 100)), min_size=1, max_size=4, unique_by=lambda pair: pair[0]))
    def test_within_limits(self, known: list[tuple[float, float]]) -> None:
        assert SMALLEST_WEIGHT <= next_weight(known, 0.4) <= LARGEST_WEIGHT


class TestFitWeight:
    def test_finds_the_weight(self) -> None:
        program = Program(power=-0.5)
        found = fit_weight(program, 100, 1e-3, Quality(0.08, 0.4))
        assert found is not None
        assert found.quality.as_good_as(Quality(0.08, 0.4))
        assert found.weight > 1e-3

    def test_one_look_where_no_weight_helps(self) -> None:
        program = Program()
        assert fit_weight(program, 100, 1e-3, Quality(0.001, 0.4)) is None
        assert len(program.asked) == 1

    def test_gives_up_just_below_the_content_error(self) -> None:
        program = Program()
        # At this content error the style share is 0.062 / (0.4 / 0.5) ** (0.5 / 0.7) = 0.073.
        assert fit_weight(program, 95, 1e-5, Quality(0.07, 0.4)) is None


class TestFewestSteps:
    @settings(max_examples=50, deadline=None)
    @given(st.floats(0.05, 0.3), st.floats(0.2, 0.9), st.floats(-0.9, -0.5))
    def test_against_looking_everywhere(self, share: float, error: float, power: float) -> None:
        program, mark, rungs = Program(power), Quality(share, error), ladder()
        # The λ that meets the content error exactly is the best one.
        best = 1e-3 * (error / 0.5) ** (1 / power)
        enough = [steps for steps in rungs if program.quality(steps, best).style_share <= share]
        found = fewest_steps(program, mark, rungs)
        if found is None:
            # Content error is met to 4 % only: a rung more may be asked for, and the highest has none.
            assert len(enough) <= 2
        else:
            assert found.quality == program.quality(found.steps, found.weight)
            assert found.quality.as_good_as(mark)
            assert rungs.index(enough[0]) <= rungs.index(found.steps) <= rungs.index(enough[0]) + 2

    def test_few_pictures_are_painted(self) -> None:
        program = Program()
        assert fewest_steps(program, Quality(0.1, 0.4), ladder()) is not None
        assert len(program.asked) <= 15

    def test_out_of_reach(self) -> None:
        assert fewest_steps(Program(), Quality(0.01, 0.4), ladder()) is None

    @pytest.mark.parametrize("weight", [1e-5, 1e-2])
    def test_from_any_first_weight(self, weight: float) -> None:
        found = fewest_steps(Program(), Quality(0.1, 0.4), ladder(), weight)
        assert found is not None
        assert found.quality.as_good_as(Quality(0.1, 0.4))
