from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from PIL import Image

from impasto.recipe import Recipe
from impasto.settings import Settings

from .conftest import FakeStylize, Run

BASIC = ("sweep", "photo.png", "painting.png", "-o", "sheet.png")
#: The real thing, in a moment.
SMALL = ("--size", 40, "--steps", 3, "--extractor", "compact", "--threads", 1)


def test_says_where_the_sheet_lies(run: Run, fake: FakeStylize) -> None:
    result = run(*BASIC)
    assert result.code == 0
    with Image.open("sheet.png") as sheet:
        width, height = sheet.size
    assert result.out == f"The sheet is in sheet.png ({width} x {height} pixels, 4 of 4 cells, 12 s).\n"
    assert "impasto: cell 1 of 4: λ = 1e-2" in result.err
    assert "impasto: cell 4 of 4: λ = 1e-5" in result.err
    # Without --cells nothing but the sheet is left.
    assert sorted(path.name for path in Path().iterdir()) == ["painting.png", "photo.png", "sheet.png"]


def test_along_falling_lambda_each_with_its_neighbor(run: Run, fake: FakeStylize) -> None:
    assert run(*BASIC, "--content-weights", "1e-4,1e-2,1e-3").code == 0
    assert [call["content_weight"] for call in fake.calls] == [1e-2, 1e-3, 1e-4]
    assert "init" not in fake.calls[0]
    assert [Path(call["init"]).name for call in fake.calls[1:]] == ["lambda-1e-2.png", "lambda-1e-3.png"]
    assert [call["steps"] for call in fake.calls] == [None, None, None]


def test_rows(run: Run, fake: FakeStylize) -> None:
    result = run(*BASIC, "--vary", "style-layers", "--content-weights", "1e-4,1e-2")
    assert result.code == 0
    assert len(fake.calls) == 10
    assert fake.calls[0]["style_layers"] == {"relu1_1": 1.0}
    assert fake.calls[2]["style_layers"] == {"relu1_1": 0.5, "relu2_1": 0.5}
    assert "10 of 10 cells" in result.out
    assert "cell 3 of 10: λ = 1e-2, style of relu1_1 + relu2_1" in result.err


def test_defaults_are_the_librarys(run: Run, fake: FakeStylize) -> None:
    run(*BASIC)
    defaults = {item.name: item.default for item in fields(Settings)}
    differing = {"size", "content_weight"}
    call = fake.calls[0]
    for name in set(defaults) & set(call) - differing:
        assert call[name] == defaults[name], name
    assert call["size"] == 256


def test_every_option_arrives(run: Run, fake: FakeStylize) -> None:
    Path("my.safetensors").write_bytes(b"")
    options = (
        "--size 96 --content-weights 0.01 --tv-weight 2 --steps 9 --optimizer adam --extractor my.safetensors "
        "--preserve-color histogram --device cpu --precision fp32 --normalization gatys --content-layers relu3_1 "
        "--style-layers relu1_1=1,relu2_1=0.5 --pooling avg --max-pixels 1000 --threads 1"
    )
    assert run(*BASIC, *options.split()).code == 0
    assert fake.calls == [
        {
            "content": "photo.png",
            "styles": ["painting.png"],
            "size": 96,
            "content_weight": 0.01,
            "tv_weight": 2.0,
            "steps": 9,
            "optimizer": "adam",
            "extractor": "my.safetensors",
            "preserve_color": "histogram",
            "device": "cpu",
            "precision": "fp32",
            "normalization": "gatys",
            "content_layers": {"relu3_1": 1.0},
            "style_layers": {"relu1_1": 1.0, "relu2_1": 0.5},
            "pooling": "avg",
            "max_pixels": 1000,
        }
    ]


def test_json(run: Run, fake: FakeStylize) -> None:
    fake.notices = ("photo.png: the first frame is taken",)
    result = run(*BASIC, "--json", "--content-weights", "1e-3,1e-2")
    first, second, last = (json.loads(line) for line in result.out.splitlines())
    assert first == {
        "content_weight": 1e-2,
        "style_layers": None,
        "content_loss": 0.5 / 3,
        "style_loss": 0.1 / 3,
        "total_loss": 0.2 / 3,
        "steps": 3,
        "seconds": 3.0,
        "begins_with": None,
    }
    assert second["begins_with"] == {"content_weight": 1e-2, "style_layers": None}
    with Image.open("sheet.png") as sheet:
        assert (last["width"], last["height"]) == sheet.size
    assert (last["output"], last["cells"], last["of"], last["extractor"]) == ("sheet.png", 2, 2, "compact")
    assert "the first frame is taken" in result.err


def test_quiet(run: Run, fake: FakeStylize) -> None:
    fake.notices = ("photo.png: the first frame is taken",)
    result = run(*BASIC, "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert Path("sheet.png").is_file()


@pytest.mark.parametrize("json_too", [False, True])
def test_ctrl_c_keeps_the_cells_made_so_far(run: Run, fake: FakeStylize, json_too: bool) -> None:
    def stop(step: int) -> None:
        if len(fake.calls) == 3 and step == 2:
            raise KeyboardInterrupt

    fake.at_step = stop
    result = run(*BASIC, "--cells", "cells", *(["--json"] if json_too else []))
    assert result.code == 130
    assert "impasto: stopped; the sheet has the 2 of 4 cells that were done" in result.err
    assert "Traceback" not in result.err
    with Image.open("sheet.png") as sheet:
        sheet.load()
    assert sorted(path.name for path in Path("cells").iterdir()) == ["lambda-1e-2.png", "lambda-1e-3.png"]
    if json_too:
        assert json.loads(result.out.splitlines()[-1])["cells"] == 2


def test_ctrl_c_in_the_first_cell(run: Run, fake: FakeStylize) -> None:
    def stop(step: int) -> None:
        raise KeyboardInterrupt

    fake.at_step = stop
    result = run(*BASIC, "--quiet")
    assert result.code == 130
    assert result.error == "impasto: stopped before the first cell was done; there is no sheet"
    assert not Path("sheet.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--content-weights", "1e-3;1"), r"--content-weights: '1e-3;1' is no number from 0 up"),
        (("--content-weights", "1e-3,-1"), r"--content-weights: '-1' is no number from 0 up"),
        (("--content-weights", "nan"), r"--content-weights: 'nan' is no number"),
        (("--content-weights", "inf"), r"--content-weights: 'inf' is no number"),
        (("--content-weights", ""), r"--content-weights: '' is no number"),
        (("--content-weights", "1e-3,0.001"), r"--content-weights: 1e-3 stands there twice"),
        (("--vary", "lambda"), r"'--vary'"),
        (("--vary", "style-layers", "--style-layers", "relu1_1"), r"--vary style-layers sets the layers of every row"),
        (("--style-layers", "conv1"), r"--style-layers: 'conv1' is no layer"),
        (("--steps", "0"), r"'--steps': 0 is not a number from 1 up"),
        (("--quiet", "--json"), r"--quiet and --json"),
        (("--extractor", "vgg16"), r"--extractor: 'vgg16' is neither a file nor one of auto, compact, vgg19"),
        (("--cells", "photo.png"), r"--cells: photo\.png is a file; name a folder"),
        (("-o", "sheet.bmp"), r"sheet\.bmp"),
        (("-o", "nowhere/sheet.png"), r"nowhere"),
    ],
)
def test_a_mistake_is_told_before_any_work(run: Run, fake: FakeStylize, options: tuple[str, ...], message: str) -> None:
    before = sorted(Path().rglob("*"))
    result = run(*BASIC, *options)
    assert result.code == 2
    assert re.search(message, result.error), result.error
    assert fake.calls == []
    assert sorted(Path().rglob("*")) == before


def test_images_that_are_not_there(run: Run, fake: FakeStylize) -> None:
    result = run("sweep", "photo.png", "gone.png", "-o", "sheet.png")
    assert (result.code, result.error) == (2, "impasto: error: gone.png is not there; check the name")


def test_what_is_there_is_kept(run: Run, fake: FakeStylize) -> None:
    assert run(*BASIC, "--cells", "cells").code == 0
    calls = len(fake.calls)
    result = run(*BASIC)
    assert result.code == 2
    assert "sheet.png" in result.error
    result = run("sweep", "photo.png", "painting.png", "-o", "other.png", "--cells", "cells")
    assert result.code == 2
    assert re.search(
        r"--cells: cells.lambda-1e-\d\.png exists already; name another folder or add --force", result.error
    )
    assert len(fake.calls) == calls
    assert run(*BASIC, "--cells", "cells", "--force").code == 0


def test_for_real_with_cells_that_can_be_made_again(run: Run, folder: Path) -> None:
    result = run(*BASIC, *SMALL, "--content-weights", "1e-4,1e-2", "--cells", "cells", "--json")
    assert result.code == 0, result.err
    first, second, last = (json.loads(line) for line in result.out.splitlines())
    assert Path(first["picture"]) == Path("cells/lambda-1e-2.png")
    assert last["cells"] == 2
    recipe = Recipe.from_file(second["picture"])
    assert recipe.settings["content_weight"] == 1e-4
    assert run("rerun", second["picture"], "-o", "again.png").code == 0
    assert Path("again.png").read_bytes() == Path(second["picture"]).read_bytes()


def test_auto_says_who_looked(run: Run, fake: FakeStylize) -> None:
    assert "so the compact extractor looked" in run(*BASIC).err


def test_help(run: Run) -> None:
    result = run("sweep", "--help")
    assert result.code == 0
    assert "--vary" in result.out
