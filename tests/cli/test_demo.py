from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from impasto.cli import demo
from impasto.images import load_image
from impasto.recipe import Recipe

from .conftest import FakeStylize, Run

THREE = ["content.png", "painting.png", "style.png"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SIZE", 64)


def files(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def same(one: str, other: str) -> bool:
    return torch.equal(load_image(one).tensor, load_image(other).tensor)


def test_leaves_three_pictures(run: Run, fake: FakeStylize) -> None:
    result = run("demo")
    assert result.code == 0, result.err
    assert result.out == f"The painting is in {Path('demo/painting.png')} (32 x 24 pixels, 3 s).\n"
    assert files("demo") == THREE
    (call,) = fake.calls
    assert same("demo/content.png", call["content"])
    assert same("demo/style.png", call["styles"][0])
    assert call["content"].startswith("gallery:")
    assert (call["size"], call["extractor"]) == (64, "auto")


def test_a_picture_is_a_name_or_a_file(run: Run, fake: FakeStylize) -> None:
    assert run("demo", "--content", "photo.png", "--style", "udnie", "-o", "one").code == 0
    assert run("demo", "--content", "gallery:astronaut", "--style", "painting.png", "-o", "two").code == 0
    assert [(call["content"], call["styles"]) for call in fake.calls] == [
        ("photo.png", ["gallery:udnie"]),
        ("gallery:astronaut", ["painting.png"]),
    ]
    assert same("one/content.png", "photo.png")
    assert same("one/style.png", "gallery:udnie")


def test_a_transparent_photograph_stays_so(run: Run, fake: FakeStylize) -> None:
    Image.new("RGBA", (32, 24), (200, 100, 0, 128)).save("glass.png")
    assert run("demo", "--content", "glass.png").code == 0
    assert Image.open("demo/content.png").mode == "RGBA"


def test_again_only_with_force(run: Run, fake: FakeStylize) -> None:
    assert run("demo", "-o", "here").code == 0
    Path("here/style.png").write_text("precious")
    result = run("demo", "-o", "here")
    assert result.code == 2
    assert "--force" in result.error
    assert Path("here/style.png").read_text() == "precious"
    assert run("demo", "-o", "here", "--force").code == 0
    assert files("here") == THREE


@pytest.mark.parametrize("option", ["--content", "--style"])
def test_an_unknown_picture(run: Run, fake: FakeStylize, option: str) -> None:
    result = run("demo", option, "scream")
    assert result.code == 2
    assert result.error == "impasto: error: gallery:scream is not in the gallery; did you mean the_scream?"
    assert not Path("demo").exists()


def test_the_folder_is_a_file(run: Run, fake: FakeStylize) -> None:
    result = run("demo", "-o", "photo.png")
    assert result.code == 2
    assert result.error == "impasto: error: --output: photo.png is a file; name a folder"


def test_for_real_and_again_from_its_recipe(run: Run, folder: Path) -> None:
    assert run("demo", "--quiet", "--threads", 1).code == 0
    recipe = Recipe.from_file("demo/painting.png")
    assert recipe.extractor == "compact"
    assert run("rerun", "demo/painting.png", "-o", "again.png", "--quiet").code == 0
    assert Path("again.png").read_bytes() == Path("demo/painting.png").read_bytes()
