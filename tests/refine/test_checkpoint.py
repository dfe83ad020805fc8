from __future__ import annotations

from pathlib import Path

import pytest
import torch

from impasto.errors import ImpastoError
from impasto.refine.checkpoint import Position, read_checkpoint, write_checkpoint
from impasto.refine.objective import Losses
from impasto.refine.optimizer import State


def position() -> Position:
    state = State(torch.rand(1, 3, 4, 5), 12, {"first": torch.randn(1, 3, 4, 5), "s2": torch.randn(1, 3, 4, 5)})
    return Position(1, 7, state, [Losses(0.1, 0.2, 1 / 3), Losses(1e-9, 2.0, 3.0)], [0.1, 12.5])


def test_comes_back_bit_for_bit(tmp_path: Path) -> None:
    before = position()
    write_checkpoint(tmp_path / "run", before, "{}")
    after = read_checkpoint(tmp_path / "run", "{}", "cpu")
    assert (after.level, after.step, after.times, after.losses) == (1, 7, [0.1, 12.5], before.losses)
    assert before.state is not None
    assert after.state is not None
    assert after.state.age == 12
    assert torch.equal(after.state.image, before.state.image)
    assert after.state.memory.keys() == before.state.memory.keys()
    assert all(torch.equal(after.state.memory[k], before.state.memory[k]) for k in before.state.memory)


def test_before_the_first_step_there_is_nothing_to_keep(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "run", Position(), "{}")
    assert list(tmp_path.iterdir()) == []


def test_of_another_run(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "run", position(), '{"seed":0}')
    with pytest.raises(
        ImpastoError, match="run: belongs to a run with other images or settings; repeat those, or remove it"
    ):
        read_checkpoint(tmp_path / "run", '{"seed":1}', "cpu")


@pytest.mark.parametrize("keep", [0, 10, -30])
def test_cut(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "run"
    write_checkpoint(path, position(), "{}")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ImpastoError, match="run: a damaged checkpoint; remove it, or run without --resume"):
        read_checkpoint(path, "{}", "cpu")
