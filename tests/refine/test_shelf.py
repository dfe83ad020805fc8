from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.errors import ImpastoError
from impasto.refine.shelf import PIECE, StoredMaps, StoredPile, StoredVector, pieces


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_pieces_cover_all() -> None:
    assert list(pieces(2 * PIECE + 5)) == [(0, PIECE), (PIECE, 2 * PIECE), (2 * PIECE, 2 * PIECE + 5)]
    assert list(pieces(PIECE)) == [(0, PIECE)]
    assert list(pieces(0)) == []


def test_a_vector_of_several_pieces_comes_back() -> None:
    tensor = noise(1, 3, 1000, PIECE // 2000)
    assert PIECE < tensor.numel() < 2 * PIECE
    stored = StoredVector.of(tensor)
    assert torch.equal(stored.read(0, tensor.numel()).view(tensor.shape), tensor)
    assert torch.equal(stored.read(PIECE - 9, PIECE + 9), tensor.flatten()[PIECE - 9 : PIECE + 9])


def test_a_vector_comes_back() -> None:
    tensor = noise(1, 3, 5, 4)
    # As autograd hands gradients out.
    for laid in (tensor, tensor.contiguous(memory_format=torch.channels_last)):
        stored = StoredVector.of(laid)
        assert stored.shape == (1, 3, 5, 4)
        assert torch.equal(stored.read(0, 60).view(1, 3, 5, 4), tensor)
        assert torch.equal(stored.read(13, 29), tensor.flatten()[13:29])


@settings(deadline=None)
@given(
    top=st.integers(0, 5),
    rows=st.integers(1, 3),
    left=st.integers(0, 6),
    columns=st.integers(1, 4),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_maps_are_read_and_written_in_windows(top: int, rows: int, left: int, columns: int, dtype: torch.dtype) -> None:
    maps = noise(1, 4, 8, 10).to(dtype)
    stored = StoredMaps(maps.shape, dtype, maps.device)
    assert not stored.read(slice(0, 8), slice(0, 10)).any(), "zeros where nothing was written"
    stored.write(slice(0, 8), slice(0, 10), maps)
    window = slice(top, top + rows), slice(left, left + columns)
    found = stored.read(*window)
    assert torch.equal(found, maps[(..., *window)])
    assert found.stride() == torch.empty(found.shape, memory_format=torch.channels_last).stride()
    stored.write(*window, -found)
    maps[(..., *window)] *= -1
    assert torch.equal(stored.read(slice(0, 8), slice(0, 10)), maps)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_pile_gives_the_last_maps_first(dtype: torch.dtype) -> None:
    first, second, third = (noise(1, *shape).to(dtype) for shape in ((4, 3, 5), (2, 6, 1), (3, 2, 2)))
    pile = StoredPile(dtype, first.device)
    pile.push(first)
    pile.push(second.contiguous(memory_format=torch.channels_last))
    assert torch.equal(pile.pop(), second)
    pile.push(third)
    for maps in (third, first):
        found = pile.pop()
        assert torch.equal(found, maps)
        assert found.stride() == torch.empty(found.shape, memory_format=torch.channels_last).stride()
    with pytest.raises(IndexError):
        pile.pop()


def test_files_have_no_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    stored = StoredVector.of(noise(1, 3, 2, 2))
    assert list(tmp_path.iterdir()) == [], "nothing is left of a process that is killed"
    assert stored.read(0, 12).numel() == 12


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def seek(self, place: int) -> None: ...

        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    stored = StoredVector((1, 3, 2, 2), torch.float32, torch.device("cpu"))
    stored._file = Full()  # type: ignore[assignment]
    with pytest.raises(ImpastoError, match=r"^max_memory: /.* takes no more \(No space left on device\), .*TMPDIR$"):
        stored.write(0, torch.zeros(12))
