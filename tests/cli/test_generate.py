from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from impasto.lessons.generator import FaceGenerator

from .conftest import Run

BASIC = ("generate", "faces", "--model", "net.safetensors")


@pytest.fixture(autouse=True)
def model(folder: Path) -> Path:
    torch.manual_seed(0)
    network = FaceGenerator(side=16, width=2, latent=8)
    with torch.no_grad():  # Untrained, all faces are nearly gray.
        network.layers[-1].weight *= 1e4  # type: ignore[operator]
    network.to_file("net.safetensors")
    return folder / "net.safetensors"


def pixels(name: str) -> np.ndarray:
    with Image.open(name) as picture:
        return np.asarray(picture)


def test_a_square_sheet(run: Run) -> None:
    result = run(*BASIC, "-n", "64", "-o", "sheet.png", "--seed", "3")
    assert (result.code, result.out, result.err) == (0, "64 faces of 16 pixels, seed 3: sheet.png\n", "")
    assert pixels("sheet.png").shape == (8 * 18 - 2, 8 * 18 - 2, 3)
    assert run(*BASIC, "--output", "five.png", "--count", "5", "--columns", "5").code == 0
    assert pixels("five.png").shape == (16, 5 * 18 - 2, 3)


def test_the_seed_is_the_faces(run: Run) -> None:
    for name, seed, count in (("one", 1, 9), ("again", 1, 9), ("other", 2, 9), ("few", 1, 3)):
        assert run(*BASIC, "-o", f"{name}.png", "--seed", str(seed), "-n", str(count), "--columns", "3").code == 0
    assert Path("one.png").read_bytes() == Path("again.png").read_bytes()
    assert np.abs(pixels("one.png").astype(int) - pixels("other.png")).max() > 50
    difference = pixels("one.png")[:16].astype(int) - pixels("few.png")
    assert np.abs(difference).max() <= 1, "the first of many are those of few"


def test_json_and_quiet(run: Run) -> None:
    result = run(*BASIC, "-o", "sheet.png", "-n", "4", "--json")
    assert json.loads(result.out) == {"output": "sheet.png", "model": "net.safetensors", "count": 4, "seed": 0}
    result = run(*BASIC, "-o", "sheet.png", "-n", "4", "--force", "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_mistakes(run: Run, model: Path) -> None:
    save_file({"a": torch.zeros(1)}, "other.safetensors")
    Path("cut.safetensors").write_bytes(model.read_bytes()[:-20])
    for arguments, message in (
        (("-o", "sheet.png", "--model", "gone"), "gone is not there; check the name"),
        (("-o", "sheet.png", "--model", "."), ". is a folder; name a file in it"),
        (
            ("-o", "sheet.png", "--model", "other.safetensors"),
            "other.safetensors: is not a generator of faces; give a file",
        ),
        (("-o", "sheet.png", "--model", "cut.safetensors"), "cut.safetensors: cannot be read as a generator of faces"),
        (("-o", "sheet.png", "--model", "photo.png"), "photo.png: cannot be read as a generator of faces"),
        (("-o", "photo.png"), "photo.png: exists already"),
        (("-o", "sheet.txt"), "sheet.txt: '.txt' is not supported"),
        (("-o", "sheet.png", "-n", "0"), "greater than or equal to 1"),
        (("-o", "sheet.png", "--seed", "-1"), "greater than or equal to 0"),
        (("-o", "sheet.png", "--quiet", "--json"), "--quiet and --json"),
        ((), "Missing option '--output'"),
    ):
        result = run(*BASIC, *arguments)
        assert result.code == 2, arguments
        assert message in result.error, arguments
    assert not Path("sheet.png").exists()


def test_alone_it_tells_what_there_is(run: Run) -> None:
    result = run("generate")
    assert result.code == 0
    assert "faces" in result.out
