from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from impasto import gallery
from impasto.files.hashing import file_sha256
from impasto.images import load_image
from impasto.recipe import Recipe

from .conftest import Run

SCREAM = "gallery:the_scream"


def test_lists_the_pictures_in_columns(run: Run) -> None:
    result = run("gallery")
    assert (result.code, result.err) == (0, "")
    head, *lines = result.out.splitlines()
    assert head.split() == ["name", "title", "artist", "year"]
    for line, card in zip(lines, gallery.cards().values(), strict=True):
        for column in ("name", "title", "artist", "year"):
            assert line[head.index(column) :].startswith(getattr(card, column))


def test_lists_as_json(run: Run) -> None:
    lines = [json.loads(line) for line in run("gallery", "--json").out.splitlines()]
    assert [line["name"] for line in lines] == list(gallery.names())
    assert lines[0] == asdict(gallery.cards()[gallery.names()[0]])


def test_tells_all_about_one(run: Run) -> None:
    card = gallery.cards()["wave"]
    for name in ("wave", "gallery:wave"):
        out = run("gallery", name).out
        for value in (card.title, card.artist, card.source, card.rights):
            assert value in out


def test_writes_a_picture(run: Run, folder: Path) -> None:
    result = run("gallery", "wave", "-o", "wave.webp")
    assert result.out == "The picture is in wave.webp.\n"
    assert Path("wave.webp").read_bytes() == gallery.path("wave").read_bytes()
    assert json.loads(run("gallery", "wave", "-o", "wave.png", "--json").out)["output"] == "wave.png"
    assert torch.equal(load_image("wave.png").tensor, load_image("gallery:wave").tensor)


@pytest.mark.parametrize("ending", ["webp", "png"])
def test_replaces_only_with_force(run: Run, folder: Path, ending: str) -> None:
    there = Path(f"there.{ending}")
    there.write_text("precious")
    result = run("gallery", "wave", "-o", there)
    assert result.code == 2
    assert f"{there}: exists already; give --force to replace it" in result.error
    assert there.read_text() == "precious"
    assert run("gallery", "wave", "-o", there, "--force").code == 0
    assert torch.allclose(load_image(there).tensor, load_image("gallery:wave").tensor)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gallery", "wav"], "gallery:wav is not in the gallery; did you mean wave?"),
        (["gallery", "-o", "x.png"], "--output: say which picture, such as impasto gallery starry_night -o x.png"),
        (["gallery", "wave", "-o", "x.bmp"], "x.bmp: '.bmp' is not supported; end the name in one of"),
        (["stylize", "gallery:cofee", "gallery:wave", "-o", "x.png"], "gallery:cofee is not in the gallery; did you"),
        (["stylize", "photo.png", "gallery:dada", "-o", "x.png"], "gallery:dada is not in the gallery"),
        (["stylize", "photo.png", "painting.png", "--init", "gallery:dada", "-o", "x.png"], "gallery:dada is not in"),
    ],
)
def test_a_mistake_is_one_line(run: Run, folder: Path, arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert result.error.startswith(f"impasto: error: {message}")
    assert not Path("x.png").exists()


def test_a_painting_from_names_and_again_from_its_recipe(run: Run, folder: Path) -> None:
    small = ["--size", "64", "--steps", "3", "--extractor", "compact", "--threads", "1", "--quiet"]
    pictures = ("gallery:astronaut", SCREAM, "photo.png")
    assert run("stylize", *pictures, "--init", "gallery:coffee", "-o", "out.png", *small).code == 0
    recipe = Recipe.from_file("out.png")
    assert recipe.styles[1].name == "photo.png"
    inputs = (recipe.content, recipe.styles[0], recipe.init_image)
    assert [(input.name, input.sha256) for input in inputs if input] == [
        (f"gallery:{name}", file_sha256(gallery.path(name))) for name in ("astronaut", "the_scream", "coffee")
    ]
    result = run("rerun", "out.png", "-o", "again.png", "--quiet")
    assert result.code == 0, result.err
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes()
