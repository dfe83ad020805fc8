from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from impasto.errors import ImpastoError
from impasto.files.checkpoint import DIGEST, write_sealed
from impasto.refine.checkpoint import Position, read_checkpoint, write_checkpoint
from impasto.refine.objective import Losses
from impasto.refine.optimizer import AdamMemory, LbfgsMemory, Pair, State
from impasto.refine.shelf import StoredVector
from impasto.refine.space import IN_MEMORY, ON_DISK, Space

from .conftest import tensors_of


def vector() -> torch.Tensor:
    return torch.randn(1, 3, 4, 5)


def pairs(count: int) -> tuple[Pair, ...]:
    return tuple(Pair(vector(), vector(), torch.tensor(0.5 + number)) for number in range(count))


MEMORIES = {
    "adam": lambda: AdamMemory(vector(), vector()),
    "lbfgs": lambda: LbfgsMemory(pairs(12), vector(), vector(), torch.rand(3, 3, 10)),
    "lbfgs after its first step": lambda: LbfgsMemory((), vector(), vector()),
    "lbfgs after a change of scale": lambda: LbfgsMemory(pairs(2)),
    "lbfgs that knows nothing": lambda: LbfgsMemory(),
}


def position(memory: AdamMemory | LbfgsMemory | None = None) -> Position:
    state = State(torch.rand(1, 3, 4, 5), 12, memory or MEMORIES["lbfgs"]())
    losses = [
        Losses({"content": 0.1, "style": 0.2, "a new one": 5.0}, 1 / 3),
        Losses({"content": 1e-9, "style": 2.0, "a new one": 1 / 7}, 3.0),
    ]
    return Position(1, 7, state, losses, [0.1, 12.5])


@pytest.mark.parametrize("memory", MEMORIES.values(), ids=MEMORIES.keys())
def test_comes_back_bit_for_bit(tmp_path: Path, memory: Any) -> None:
    before = position(memory())
    write_checkpoint(tmp_path / "run", before, "{}")
    after = read_checkpoint(tmp_path / "run", "{}", "cpu")
    assert (after.level, after.step, after.times, after.losses) == (1, 7, [0.1, 12.5], before.losses)
    assert [list(entry.terms) for entry in after.losses] == [["content", "style", "a new one"]] * 2
    assert before.state is not None
    assert after.state is not None
    assert after.state.age == 12
    assert torch.equal(after.state.image, before.state.image)
    assert type(after.state.memory) is type(before.state.memory)
    found, wanted = tensors_of(after.state.memory), tensors_of(before.state.memory)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("algorithm", ["adam", "lbfgs"])
def test_what_is_on_the_disk_stays_there(tmp_path: Path, algorithm: str) -> None:
    before = position(MEMORIES[algorithm]())
    assert before.state is not None
    kept = before.state.memory
    write_checkpoint(tmp_path / "run", before, "{}")
    if isinstance(kept, AdamMemory):
        before.state.memory = AdamMemory(stored(kept.first), stored(kept.second))
    else:
        assert isinstance(kept, LbfgsMemory)
        moved = tuple(Pair(stored(pair.s), stored(pair.y), pair.curvature) for pair in kept.pairs)
        before.state.memory = LbfgsMemory(moved, stored(kept.image), stored(kept.gradient), kept.spectrum)
    write_checkpoint(tmp_path / "other", before, "{}")
    assert (tmp_path / "other").read_bytes() == (tmp_path / "run").read_bytes()
    levels: list[int] = []

    def space_of(level: int) -> Space:
        levels.append(level)
        return ON_DISK

    after = read_checkpoint(tmp_path / "run", "{}", "cpu", space_of).state
    assert after is not None
    assert set(levels) == {1}
    memory = after.memory
    if isinstance(memory, AdamMemory):
        large: list[Any] = [memory.first, memory.second]
    else:
        assert isinstance(memory, LbfgsMemory)
        large = [memory.image, memory.gradient, *(part for pair in memory.pairs for part in (pair.s, pair.y))]
        assert isinstance(memory.spectrum, torch.Tensor)
        assert all(isinstance(pair.curvature, torch.Tensor) for pair in memory.pairs)
    assert all(isinstance(part, StoredVector) for part in large)
    found, wanted = tensors_of(memory), tensors_of(kept)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def stored(vector: Any) -> Any:
    return ON_DISK.keep(vector)


def test_any_reader_of_safetensors_reads_it(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "run", position(), "{}")
    tensors = load_file(tmp_path / "run")
    assert tensors["losses"].tolist() == [[0.1, 0.2, 5.0, 1 / 3, 0.1], [1e-9, 2.0, 1 / 7, 3.0, 12.5]]
    assert [tensors[f"curvature{number}"].item() for number in range(12)] == [0.5 + number for number in range(12)]


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
    write_checkpoint(tmp_path / "run", Position(state=State(torch.rand(1, 3, 4, 5))), "{}")
    assert list(tmp_path.iterdir()) == []


def test_of_another_run(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "run", position(), '{"seed":0}')
    with pytest.raises(
        ImpastoError,
        match="run: belongs to a run with other images, settings, versions or threads; repeat those, or remove",
    ):
        read_checkpoint(tmp_path / "run", '{"seed":1}', "cpu")


def test_of_another_format(tmp_path: Path) -> None:
    path = tmp_path / "run"
    write_checkpoint(path, position(), "{}")
    resealed(path, b"impasto-checkpoint-3", b"impasto-checkpoint-1")
    with pytest.raises(ImpastoError, match="run: not a checkpoint of impasto; remove it to begin anew"):
        read_checkpoint(path, "{}", "cpu")


def resealed(path: Path, *change: bytes) -> None:
    """Change it, and make the digest right again."""
    write_sealed(path, [path.read_bytes()[:-DIGEST].replace(*change)])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"shape": [1, 3, 4, 5], "data_offsets": [32', b'"shape": [1, 3, 5, 4], "data_offsets": [32'),
        (b'"shape": [1, 3, 4, 5]', b'"shape": [1, 3, 4, 6]'),
        (b'"shape": [1, 3, 4, 5]', b'"shape": [1, 3,-4,-5]'),
        (b'"dtype": "F32"', b'"dtype": "F64"'),
        (b'\\"pairs\\": 12', b'\\"pairs\\": 13'),
        (b'\\"level\\": 1', b'\\"level\\": 9'),
    ],
)
def test_edited_by_somebody(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / "run"
    write_checkpoint(path, position(), "{}")
    assert before in path.read_bytes()
    resealed(path, before, after)
    spaces = [ON_DISK, IN_MEMORY]
    with pytest.raises(ImpastoError, match="run: a damaged checkpoint; remove it to begin anew"):
        read_checkpoint(path, "{}", "cpu", spaces.__getitem__)


def test_every_bit_counts(tmp_path: Path) -> None:
    path = tmp_path / "run"
    write_checkpoint(path, position(), "{}")
    whole = bytearray(path.read_bytes())
    for place in range(0, len(whole), 101):
        whole[place] ^= 1 << place % 8
        path.write_bytes(whole)
        with pytest.raises(ImpastoError, match="run: a damaged checkpoint; remove it to begin anew"):
            read_checkpoint(path, "{}", "cpu")
        whole[place] ^= 1 << place % 8


def test_all_of_it_moves_at_once() -> None:
    """A signal finds level, step and state of the same moment; a loss too many is not kept."""
    at = position()
    assert at.state is not None
    at.move(2, 0, replace(at.state, age=1))
    assert (at.level, at.step, at.state.age) == (2, 0, 1)


def test_of_a_step_that_is_not_done_no_loss_is_kept(tmp_path: Path) -> None:
    at = position()
    assert at.state is not None
    at.state = replace(at.state, age=1)
    write_checkpoint(tmp_path / "run", at, "{}")
    assert read_checkpoint(tmp_path / "run", "{}", "cpu").times == [0.1]


@pytest.mark.parametrize("keep", [0, 10, -30])
def test_cut(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "run"
    write_checkpoint(path, position(), "{}")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ImpastoError, match="run: a damaged checkpoint; remove it to begin anew"):
        read_checkpoint(path, "{}", "cpu")


@pytest.mark.parametrize("part", [b'\\"level\\"', b'\\"names\\"', b'\\"pairs\\"', b'"image"', b'"s3"', b'"losses"'])
def test_a_part_is_missing(tmp_path: Path, part: bytes) -> None:
    path = tmp_path / "run"
    write_checkpoint(path, position(), "{}")
    assert part in path.read_bytes()
    resealed(path, part, part.replace(b"s", b"z").replace(b"l", b"k").replace(b"i", b"j"))
    with pytest.raises(ImpastoError, match="run: a damaged checkpoint; remove it to begin anew"):
        read_checkpoint(path, "{}", "cpu")
