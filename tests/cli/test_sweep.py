"""The real thing, in a moment."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from impasto.recipe import Recipe
from impasto.settings import Settings

from .conftest import Run

BASIC = ("sweep", "photo.png", "painting.png", "-o", "sheet.png")
SMALL = ("--size", 40, "--steps", 2, "--extractor", "compact", "--threads", 1)
TWO = ("--content-weights", "1e-4,1e-2")


def recipes(folder: str = "cells") -> dict[str, dict[str, Any]]:
    """The settings of every cell by the name of its picture."""
    return {path.name: Recipe.from_file(path).settings for path in sorted(Path(folder).iterdir())}


def size_of_sheet() -> tuple[int, int]:
    with Image.open("sheet.png") as sheet:
        sheet.load()
        return sheet.size


def test_says_where_the_sheet_lies(run: Run, folder: Path) -> None:
    result = run(*BASIC, *SMALL)
    assert result.code == 0
    width, height = size_of_sheet()
    said = rf"The sheet is in sheet\.png \({width} x {height} pixels, 4 of 4 cells, \d+ s\)\.\n"
    assert re.fullmatch(said, result.out)
    assert "impasto: cell 1 of 4: λ = 1e-2" in result.err
    assert "impasto: cell 4 of 4: λ = 1e-5" in result.err
    assert result.err.count("step 2/2") == 4
    # Without --cells nothing but the sheet is left.
    assert sorted(path.name for path in Path().iterdir()) == ["painting.png", "photo.png", "sheet.png"]


def test_along_falling_lambda_each_with_its_neighbor(run: Run, folder: Path) -> None:
    result = run(*BASIC, *SMALL, "--content-weights", "1e-4,1e-2,1e-3", "--cells", "cells", "--json")
    assert result.code == 0, result.err
    *cells, _ = (json.loads(line) for line in result.out.splitlines())
    assert [cell["content_weight"] for cell in cells] == [1e-2, 1e-3, 1e-4]
    assert [cell["begins_with"] for cell in cells] == [
        None,
        {"content_weight": 1e-2, "style_layers": None},
        {"content_weight": 1e-3, "style_layers": None},
    ]
    assert [Path(cell["picture"]).name for cell in cells] == [f"lambda-1e-{power}.png" for power in (2, 3, 4)]
    made = recipes()
    assert {name: settings["content_weight"] for name, settings in made.items()} == {
        f"lambda-1e-{power}.png": 10**-power for power in (2, 3, 4)
    }
    assert [Path(made[f"lambda-1e-{power}.png"]["init"]).name for power in (2, 3, 4)] == [
        "content",
        "lambda-1e-2.png",
        "lambda-1e-3.png",
    ]


def test_rows(run: Run, folder: Path) -> None:
    result = run(*BASIC, *SMALL, *TWO, "--steps", 1, "--vary", "style-layers", "--cells", "cells", "--json")
    assert result.code == 0
    *cells, last = (json.loads(line) for line in result.out.splitlines())
    assert len(cells) == len(recipes()) == last["cells"] == last["of"] == 10
    settings = [Recipe.from_file(cell["picture"]).settings["style_layers"] for cell in cells]
    assert settings[0] == settings[1] == {"relu1_1": 1.0}
    assert settings[2] == {"relu1_1": 0.5, "relu2_1": 0.5}
    assert len(settings[-1]) == 5
    assert cells[2]["begins_with"] == {"content_weight": 1e-2, "style_layers": ["relu1_1"]}


def test_rows_are_said(run: Run, folder: Path) -> None:
    how = ("--content-weights", "1e-2", "--steps", 1, "--vary", "style-layers")
    result = run(*BASIC, *SMALL, *how)
    assert "5 of 5 cells" in result.out
    assert "cell 2 of 5: λ = 1e-2, style of relu1_1 + relu2_1\n" in result.err


def test_defaults_are_the_librarys(run: Run, folder: Path) -> None:
    how = ("--steps", 1, "--content-weights", "1e-3", "--cells", "cells", "--threads", 1)
    assert run(*BASIC, *how).code == 0
    (settings,) = recipes().values()
    defaults = Settings.check({"size": 256, "steps": 1}).as_json()
    resolved = {"extractor", "style_weights", "content_layers", "style_layers", "device", "precision", "detail"}
    assert settings.keys() == defaults.keys()
    assert {name for name in defaults if settings[name] != defaults[name]} <= resolved


def test_every_option_arrives(run: Run, folder: Path) -> None:
    options = (
        "--size 96 --content-weights 0.01 --tv-weight 2 --steps 2 --optimizer adam --extractor compact "
        "--preserve-color histogram --device cpu --precision bf16 --normalization gatys --content-layers relu3_1 "
        "--style-layers relu1_1=1,relu2_1=0.5 --pooling avg --max-pixels 10000 --threads 1 --cells cells"
    )
    result = run(*BASIC, *options.split())
    assert result.code == 0, result.err
    assert Recipe.from_file("cells/lambda-1e-2.png").threads == 1
    (settings,) = recipes().values()
    assert settings == {
        "size": 96,
        "content_weight": 0.01,
        "style_weights": [1.0],
        "tv_weight": 2.0,
        "steps": 2,
        "optimizer": "adam",
        "init": "content",
        "seed": 0,
        "detail": 1.0,
        "extractor": "compact",
        "preserve_color": "histogram",
        "device": "cpu",
        "precision": "bf16",
        "normalization": "gatys",
        "content_layers": {"relu3_1": 1.0},
        "style_layers": {"relu1_1": 1.0, "relu2_1": 0.5},
        "pooling": "avg",
    }


def test_json(run: Run, animation: str) -> None:
    result = run("sweep", animation, *BASIC[2:], *SMALL, *TWO, "--json")
    first, second, last = (json.loads(line) for line in result.out.splitlines())
    assert first.keys() == {
        "content_weight",
        "style_layers",
        "losses",
        "total_loss",
        "steps",
        "seconds",
        "begins_with",
    }
    assert (first["content_weight"], first["steps"], first["style_layers"]) == (1e-2, 2, None)
    assert (first["begins_with"], second["begins_with"]) == (None, {"content_weight": 1e-2, "style_layers": None})
    assert first["losses"].keys() == {"content", "style"}
    assert first["total_loss"] >= first["losses"]["style"] > 0
    assert (last["width"], last["height"]) == size_of_sheet()
    assert (last["output"], last["cells"], last["of"], last["extractor"]) == ("sheet.png", 2, 2, "compact")
    assert last["seconds"] == pytest.approx(first["seconds"] + second["seconds"], abs=2e-3)
    # The same in every cell, so once.
    assert len([line for line in result.err.splitlines() if "moving.gif" in line]) == 1


def test_quiet(run: Run, animation: str) -> None:
    result = run("sweep", animation, *BASIC[2:], *SMALL, *TWO, "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert size_of_sheet() > (0, 0)


@pytest.mark.parametrize("json_too", [False, True])
def test_ctrl_c_keeps_the_cells_made_so_far(run: Run, folder: Path, json_too: bool) -> None:
    how = [*BASIC, *SMALL, "--cells", "cells"]
    if json_too:
        result = run(*how, "--json", stop_after='"content_weight": 0.001,')
    else:
        result = run(*how, stop_after="cell 3 of 4")
    assert result.code == 130
    assert "impasto: stopped; the sheet has the 2 of 4 cells that were done" in result.err
    assert "Traceback" not in result.err
    size_of_sheet()
    assert sorted(path.name for path in Path("cells").iterdir()) == ["lambda-1e-2.png", "lambda-1e-3.png"]
    if json_too:
        assert json.loads(result.out.splitlines()[-1])["cells"] == 2


def test_ctrl_c_in_a_step(run: Run, folder: Path) -> None:
    result = run(*BASIC, *SMALL, stop_after="step 1/2")
    assert result.code == 130
    assert result.out == ""
    assert result.err.splitlines()[-1] == "impasto: stopped before the first cell was done; there is no sheet"
    assert not Path("sheet.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--content-weights", "1e-3;1"), r"--content-weights: '1e-3;1' is not a number"),
        (
            ("--content-weights", "1e-3,-1"),
            r"--content-weights: \(0\.001, -1\.0\) cannot be used; give numbers from 0 up",
        ),
        (("--content-weights", "nan"), r"--content-weights: .*nan.* cannot be used"),
        (("--content-weights", "inf"), r"--content-weights: \(inf,\) cannot be used"),
        (("--content-weights", ""), r"--content-weights: '' is not a number"),
        (("--content-weights", "1e-3,0.001"), r"--content-weights: 1e-3 stands there twice"),
        (("--vary", "lambda"), r"'--vary'"),
        (("--vary", "style-layers", "--style-layers", "relu1_1"), r"--vary style-layers sets the layers of every row"),
        (("--style-layers", "conv1"), r"--style-layers: 'conv1' is no layer"),
        (("--steps", "0"), r"--steps: 0 is out of range; give a whole number from 1 to 1000000$"),
        (("--quiet", "--json"), r"--quiet and --json"),
        (("--extractor", "vgg16"), r"--extractor: 'vgg16' is neither a file nor one of auto, compact, vgg19"),
        (("--cells", "photo.png"), r"--cells: photo\.png is a file; name a folder"),
        (("-o", "sheet.bmp"), r"sheet\.bmp"),
        (("-o", "nowhere/sheet.png"), r"nowhere"),
    ],
)
def test_a_mistake_is_told_before_any_work(run: Run, folder: Path, options: tuple[str, ...], message: str) -> None:
    before = sorted(Path().rglob("*"))
    result = run(*BASIC, *options)
    assert result.code == 2
    assert re.search(message, result.error), result.error
    assert sorted(Path().rglob("*")) == before


def test_images_that_are_not_there(run: Run, folder: Path) -> None:
    result = run("sweep", "photo.png", "gone.png", "-o", "sheet.png")
    assert (result.code, result.error) == (2, "impasto: error: gone.png is not there; check the name")


def test_what_is_there_is_kept(run: Run, folder: Path) -> None:
    assert run(*BASIC, *SMALL, *TWO, "--cells", "cells").code == 0
    before = {path: path.read_bytes() for path in Path().rglob("*.png")}
    result = run(*BASIC, *SMALL, *TWO)
    assert result.code == 2
    assert "sheet.png" in result.error
    result = run("sweep", "photo.png", "painting.png", "-o", "other.png", *TWO, "--cells", "cells")
    assert result.code == 2
    assert re.search(
        r"--cells: cells.lambda-1e-\d\.png exists already; name another folder or add --force", result.error
    )
    assert {path: path.read_bytes() for path in Path().rglob("*.png")} == before
    assert run(*BASIC, *SMALL, *TWO, "--cells", "cells", "--force").code == 0


def test_cells_can_be_made_again(run: Run, folder: Path) -> None:
    result = run(*BASIC, *SMALL, *TWO, "--cells", "cells", "--json")
    assert result.code == 0, result.err
    first, second, last = (json.loads(line) for line in result.out.splitlines())
    assert Path(first["picture"]) == Path("cells/lambda-1e-2.png")
    assert last["cells"] == 2
    assert Recipe.from_file(second["picture"]).settings["content_weight"] == 1e-4
    inputs = ("--content", "photo.png", "--style", "painting.png")
    assert run("rerun", second["picture"], "-o", "again.png", *inputs).code == 0
    assert Path("again.png").read_bytes() == Path(second["picture"]).read_bytes()


def test_auto_says_once_who_looked(run: Run, folder: Path) -> None:
    result = run(*BASIC, *TWO, "--size", 40, "--steps", 1, "--threads", 1)
    assert result.err.count("so the compact extractor paints") == 1


def test_help(run: Run) -> None:
    result = run("sweep", "--help")
    assert result.code == 0
    assert "--vary" in result.out
