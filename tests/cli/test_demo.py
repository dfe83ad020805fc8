from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

import impasto
from impasto.cli import demo
from impasto.recipe import Recipe

from .conftest import FakeStylize, Run

THREE = ["content.png", "painting.png", "style.png"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SIZE", 64)


def files(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def test_leaves_three_pictures(run: Run, fake: FakeStylize) -> None:
    result = run("demo")
    assert result.code == 0, result.err
    assert result.out == f"The painting is in {Path('demo/painting.png')} (32 x 24 pixels, 3 s).\n"
    assert files("demo") == THREE
    assert Image.open("demo/style.png").size == (64, 64)
    content = Image.open("demo/content.png")
    assert max(content.size) > 400
    assert content.tobytes() == Image.open(demo.find_photograph()).convert("RGB").tobytes()
    assert fake.calls == [
        {
            "content": Path("demo/content.png"),
            "styles": [Path("demo/style.png")],
            "size": 64,
            "extractor": "auto",
            "checkpoint": None,
            "resume": False,
        }
    ]


def test_again_only_with_force(run: Run, fake: FakeStylize) -> None:
    assert run("demo", "-o", "here").code == 0
    Path("here/style.png").write_text("precious")
    result = run("demo", "-o", "here")
    assert result.code == 2
    assert "--force" in result.error
    assert Path("here/style.png").read_text() == "precious"
    assert run("demo", "-o", "here", "--force").code == 0
    assert files("here") == THREE


@pytest.mark.parametrize("name", impasto.samples.names())
def test_each_sample_painting(run: Run, fake: FakeStylize, name: str) -> None:
    assert run("demo", "--style", name, "--quiet").code == 0
    painted = impasto.samples.paint(name, 64, 64)
    saved = Image.open("demo/style.png").tobytes()
    assert list(saved) == (painted[0].permute(1, 2, 0) * 255).round().int().flatten().tolist()


def test_unknown_style(run: Run, fake: FakeStylize) -> None:
    result = run("demo", "--style", "munch")
    assert result.code == 2
    assert result.error.startswith("impasto: error: --style: 'munch' is none of the paintings; choose from ")
    for name in impasto.samples.names():
        assert name in result.error
    assert not Path("demo").exists()


def test_the_folder_is_a_file(run: Run, fake: FakeStylize) -> None:
    result = run("demo", "-o", "photo.png")
    assert result.code == 2
    assert result.error == "impasto: error: --output: photo.png is a file; name a folder"


def test_without_scikit_image(run: Run, fake: FakeStylize, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    result = run("demo")
    assert result.code == 2
    assert result.error == (
        "impasto: error: the demo's photograph comes with scikit-image: pip install 'impasto[demo]'"
    )
    assert not Path("demo").exists()


def test_the_photograph_is_found_without_importing() -> None:
    assert demo.find_photograph().is_file()
    assert "skimage" not in sys.modules


def test_for_real_and_again_from_its_recipe(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("demo", "--quiet", "--threads", 1).code == 0
    recipe = Recipe.from_file("demo/painting.png")
    assert recipe.extractor == "compact"
    assert run("rerun", "demo/painting.png", "-o", "again.png", "--quiet").code == 0
    assert Path("again.png").read_bytes() == Path("demo/painting.png").read_bytes()
