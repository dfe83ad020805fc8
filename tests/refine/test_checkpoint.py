from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from impasto.errors import ImpastoError
from impasto.refine.checkpoint import Position, read_checkpoint, write_checkpoint
from impasto.refine.objective import Losses
from impasto.refine.optimizer import State
from impasto.refine.shelf import StoredVector
from impasto.refine.space import ON_DISK, Space


def position() -> Position:
    state = State(
        torch.rand(1, 3, 4, 5),
        12,
        {"first": torch.randn(1, 3, 4, 5), "s2": torch.randn(1, 3, 4, 5), "sy2": torch.tensor(0.5)},
    )
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


def test_what_is_on_the_disk_stays_there(tmp_path: Path) -> None:
    before = position()
    assert before.state is not None
    kept = before.state.memory
    write_checkpoint(tmp_path / "run", before, "{}")
    stored = {name: ON_DISK.keep(vector) if name != "sy2" else vector for name, vector in kept.items()}  # type: ignore[arg-type]
    before.state.memory = stored
    write_checkpoint(tmp_path / "other", before, "{}")
    assert (tmp_path / "other").read_bytes() == (tmp_path / "run").read_bytes()
    levels: list[int] = []

    def space_of(level: int) -> Space:
        levels.append(level)
        return ON_DISK

    after = read_checkpoint(tmp_path / "run", "{}", "cpu", space_of).state
    assert after is not None
    assert set(levels) == {1}
    for name in ("first", "s2"):
        vector = after.memory[name]
        assert isinstance(vector, StoredVector)
        assert torch.equal(vector.read(0, vector.count).view(1, 3, 4, 5), kept[name])  # type: ignore[arg-type]
    assert torch.equal(after.memory["sy2"], kept["sy2"])  # type: ignore[arg-type]


def test_any_reader_of_safetensors_reads_it(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "run", position(), "{}")
    tensors = load_file(tmp_path / "run")
    assert tensors["losses"].tolist() == [[0.1, 0.2, 1 / 3, 0.1], [1e-9, 2.0, 3.0, 12.5]]
    assert tensors["memory.sy2"].item() == 0.5


def test_half_a_file_is_never_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path / "run", position(), "{}")
    before = (tmp_path / "run").read_bytes()

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(
        ImpastoError, match=r"run: cannot be written \(No space left on device\); choose another folder"
    ):
        write_checkpoint(tmp_path / "run", position(), "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run").read_bytes() == before


def test_before_the_first_step_there_is_nothing_to_keep(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "run", Position(), "{}")
    assert list(tmp_path.iterdir()) == []


def test_of_another_run(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "run", position(), '{"seed":0}')
    with pytest.raises(
        ImpastoError,
        match="run: belongs to a run with other images, settings, versions or --threads; repeat those, or remove",
    ):
        read_checkpoint(tmp_path / "run", '{"seed":1}', "cpu")


@pytest.mark.parametrize("keep", [0, 10, -30])
def test_cut(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "run"
    write_checkpoint(path, position(), "{}")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ImpastoError, match="run: a damaged checkpoint; remove it to begin anew"):
        read_checkpoint(path, "{}", "cpu")
