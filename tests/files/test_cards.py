from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from impasto.errors import ImpastoError
from impasto.files.cards import LONGEST, check_shapes, halved, pack, read_card


def test_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(pack({"w": torch.arange(3.0)}, {"format": "one", "scores": [0.5]}))
    assert read_card(path, "one") == {"format": "one", "scores": [0.5]}
    assert read_card(path, "two") is None
    assert torch.equal(load_file(path)["w"], torch.arange(3.0))


def test_the_same_bytes_for_the_same_card() -> None:
    weights = {"w": torch.ones(2)}
    assert pack(weights, {"a": 1, "b": 2}) == pack(weights, {"b": 2, "a": 1})


@pytest.mark.parametrize("metadata", [None, {"other": "card"}, {"impasto": "[]"}])
def test_a_file_without_a_card(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "a.safetensors", metadata)
    assert read_card(tmp_path / "a.safetensors", "one") is None


def test_a_file_cut_short(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(pack({"w": torch.ones(2)}, {"format": "one"})[:-1])
    with pytest.raises(SafetensorError):
        read_card(tmp_path / "a.safetensors", "one")


def test_halved() -> None:
    assert halved({"w": torch.tensor([0.5, 6e4])})["w"].dtype == torch.float16
    for value in (7e4, float("nan"), float("-inf")):
        with pytest.raises(ImpastoError, match="w: weights do not fit into fp16; train with a lower learning rate"):
            halved({"w": torch.tensor([0.0, value])})


@pytest.mark.parametrize("card", ["[" * 100_000, '{"a":' * 100_000, '"' + "a" * LONGEST + '"'])
def test_a_card_without_end(tmp_path: Path, card: str) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "a.safetensors", {"impasto": card})
    with pytest.raises(ValueError, match=r"card|Expecting"):
        read_card(tmp_path / "a.safetensors")


def test_shapes_come_first(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"w": torch.ones(2, 3), "b": torch.ones(())}, path)
    check_shapes(path, {"w": (2, 3), "b": []})
    for wanted in ({"w": (2, 3)}, {"w": (3, 2), "b": ()}, {"w": (2, 3), "b": (), "more": (1,)}):
        with pytest.raises(ValueError, match="other shapes than the card's"):
            check_shapes(path, wanted)
