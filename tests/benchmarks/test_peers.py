from __future__ import annotations

from peers import neural_style, pystiche_nst
from peers.record import Told
from runner import Run


def run(*lines: tuple[float, str]) -> Run:
    return Run(seconds=99, cpu_seconds=99, peak_mb=99, lines=list(lines))


class TestTold:
    def test_the_first_step_does_not_count(self) -> None:
        told = Told(1, [(1, 9), (2, 10), (3, 11), (4, 30)], {}, 31)
        assert told.seconds_a_step() == 1

    def test_the_mean_where_few_are_told_of(self) -> None:
        assert Told(1, [(50, 26), (100, 51)], {}, 51).seconds_a_step() == 0.5

    def test_a_single_step(self) -> None:
        assert Told(1, [(1, 3)], {}, 4).seconds_a_step() == 2


class TestNeuralStyle:
    def test_each_step(self) -> None:
        told = neural_style.listen(
            run(
                (1, "Setting up style layer 2: relu1_1"),
                (4, "Running optimization with L-BFGS"),
                (6, "Iteration 1 / 2"),
                (6, "  Content 1 loss: 3.0"),
                (6, "  Total loss: 7.5"),
                (7, "Iteration 2 / 2"),
                (7, "  Total loss: 5.5"),
            )
        )
        assert told == Told(4, [(1, 6), (2, 7)], {1: 7.5, 2: 5.5}, 7)

    def test_saved_before_the_step_that_nobody_asked_for(self) -> None:
        lines = [(6, "Iteration 1 / 1"), (6, "  Total loss: 7.5"), (8, "Iteration 2 / 1"), (8, "  Total loss: 7.0")]
        assert neural_style.listen(run((4, "Running optimization with L-BFGS"), *lines)).saved == 6


class TestPystiche:
    def test_each_step(self) -> None:
        lines = [(3, "begin"), (5, "step 1 loss 8.5"), (6, "step 2 loss 7.5"), (7, "step 3 loss 1e2"), (8, "saved")]
        told = pystiche_nst.listen(run(*lines))
        assert told == Told(3, [(1, 5), (2, 6), (3, 7)], {1: 8.5, 3: 100}, 8)
