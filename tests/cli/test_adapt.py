from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from .conftest import Run

FEW = ["--steps", "1", "--batch", "1", "--side", "32", "--size", "64", "--judge", "compact"]


def test_a_file_and_a_sheet_and_a_picture(run: Run, folder: Path) -> None:
    result = run("adapt", "painting.png", "-o", "learned.safetensors", *FEW)
    assert result.code == 0, result.err
    assert "What the network learned is in learned.safetensors: paint with --method instant" in result.out
    assert "impasto: step 1/1  content " in result.err
    with Image.open("learned.sheet.webp") as sheet:
        assert sheet.format == "WEBP"
    paint = ["stylize", "photo.png", "painting.png", "-o", "o.png", "--method", "instant"]
    assert run(*paint, "--model", "learned.safetensors").code == 0
    assert not list(folder.glob("*.checkpoint"))


def test_json(run: Run, folder: Path) -> None:
    *told, last = map(json.loads, run("adapt", "painting.png", "-o", "a.safetensors", *FEW, "--json").out.splitlines())
    assert [line["step"] for line in told] == [1]
    assert last["output"] == "a.safetensors"
    assert last["sheet"] == "a.sheet.webp"
    assert last["before"].keys() == {"style_share", "content_error"} <= last.keys()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["gone.png", "-o", "a.safetensors"], "gone.png is not there; check the name"),
        (["painting.png", "-o", "a.png"], "--out: a.png has to end in .safetensors"),
        (["painting.png", "-o", "a.safetensors", "--content", "gone"], "--content: gone is no folder"),
        (["painting.png", "-o", "a.safetensors", "--start-from", "gone"], "--start-from: there is no gone"),
        (["painting.png", "-o", "a.safetensors", "--side", "40"], "--side: 40 is no multiple of 16; give 32"),
    ],
)
def test_mistakes(run: Run, folder: Path, arguments: list[str], error: str) -> None:
    result = run("adapt", *arguments)
    assert result.code == 2
    assert error in result.error
    assert not list(folder.glob("a.*"))
