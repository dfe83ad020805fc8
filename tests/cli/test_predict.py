from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from impasto.lessons.attributes import AttributeNet

from .conftest import Run


@pytest.fixture
def model(folder: Path) -> Path:
    """Sure of three attributes, whatever it is shown."""
    torch.manual_seed(0)
    network = AttributeNet(("Bald", "Smiling", "Young"), side=16, width=2)
    with torch.no_grad():
        network.answer.weight.zero_()
        network.answer.bias.copy_(torch.tensor([-2.0, 2.0, 0.1]))
        network.shift.copy_(torch.tensor([0.0, 0.0, 0.5]))
    network.to_file(folder / "net.safetensors")
    return folder / "net.safetensors"


def test_the_likeliest_first(run: Run, model: Path) -> None:
    result = run("predict", "attributes", "photo.png", "--model", model)
    assert (result.code, result.err) == (0, "")
    # 1/(1 + exp(-2)), 1/(1 + exp(0.4)), 1/(1 + exp(2))
    assert result.out.splitlines() == [" 88.1%  yes  Smiling", " 40.1%  no   Young", " 11.9%  no   Bald"]


def test_json(run: Run, model: Path) -> None:
    result = run("predict", "attributes", "photo.png", "--model", "net.safetensors", "--json")
    assert json.loads(result.out) == {
        "face": "photo.png",
        "model": "net.safetensors",
        "attributes": {"Smiling": 0.8808, "Young": 0.4013, "Bald": 0.1192},
    }


def test_mistakes(run: Run, model: Path) -> None:
    save_file({"a": torch.zeros(1)}, "other.safetensors")
    for arguments, message in (
        (("gone.png", "--model", "net.safetensors"), "gone.png is not there; check the name"),
        (("photo.png", "--model", "gone"), "gone is not there; check the name"),
        (
            ("photo.png", "--model", "other.safetensors"),
            "other.safetensors: is not a network of attributes; give a file",
        ),
        (("photo.png", "--model", "photo.png"), "photo.png: cannot be read as a network of attributes"),
        (("net.safetensors", "--model", "net.safetensors"), "face net.safetensors: is not an image"),
        (("photo.png", "--model", "net.safetensors", "--max-pixels", "9"), "more than the limit of 9"),
    ):
        result = run("predict", "attributes", *arguments)
        assert result.code == 2, arguments
        assert message in result.error


def test_alone_it_tells_what_there_is(run: Run) -> None:
    result = run("predict")
    assert result.code == 0
    assert "attributes" in result.out
