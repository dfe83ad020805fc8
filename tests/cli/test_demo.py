"""The real thing at 64 pixels: a few seconds each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from impasto.images import load_image
from impasto.recipe import Recipe

from .conftest import Run

SMALL = ("--size", 64, "--threads", 1)
THREE = ["content.png", "painting.png", "style.png"]


def files(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def same(one: str, other: str) -> bool:
    return torch.equal(load_image(one).tensor, load_image(other).tensor)


def test_three_pictures_and_again_from_the_recipe(run: Run, folder: Path) -> None:
    result = run("demo", *SMALL)
    assert result.code == 0, result.err
    assert result.out.startswith(f"The painting is in {Path('demo/painting.png')} (64 x 43 pixels, ")
    assert files("demo") == THREE
    recipe = Recipe.from_file("demo/painting.png")
    assert recipe.extractor == "compact"
    assert same("demo/content.png", recipe.content.name)
    assert same("demo/style.png", recipe.styles[0].name)
    assert recipe.content.name.startswith("gallery:")
    assert run("rerun", "demo/painting.png", "-o", "again.png", "--quiet").code == 0
    assert Path("again.png").read_bytes() == Path("demo/painting.png").read_bytes()


def test_default_size(run: Run, folder: Path) -> None:
    assert "[default: 512]" in run("demo", "--help").out


def test_a_picture_is_a_name_or_a_file_and_only_force_replaces(run: Run, folder: Path) -> None:
    Image.new("RGBA", (32, 24), (200, 100, 0, 128)).save("glass.png")
    how = ("--content", "glass.png", "--style", "gallery:udnie", "-o", "here", *SMALL)
    assert run("demo", *how).code == 0
    assert same("here/style.png", "gallery:udnie")
    assert Image.open("here/content.png").mode == Image.open("here/painting.png").mode == "RGBA"
    Path("here/style.png").write_text("precious")
    result = run("demo", *how)
    assert result.code == 2
    assert "--force" in result.error
    assert Path("here/style.png").read_text() == "precious"
    assert run("demo", *how, "--force").code == 0
    assert files("here") == THREE


@pytest.mark.parametrize("option", ["--content", "--style"])
def test_an_unknown_picture(run: Run, folder: Path, option: str) -> None:
    result = run("demo", option, "scream")
    assert result.code == 2
    assert result.error == "impasto: error: gallery:scream is not in the gallery; did you mean the_scream?"
    assert not Path("demo").exists()


def test_the_folder_is_a_file(run: Run, folder: Path) -> None:
    result = run("demo", "-o", "photo.png")
    assert result.code == 2
    assert result.error == "impasto: error: --output: photo.png is a file; name a folder"
