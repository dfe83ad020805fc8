from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from .conftest import Run

BASIC = ("features", "photo.png", "-o", "sheet.png")
SMALL = (*BASIC, "--extractor", "compact", "--size", 40, "--threads", 1)


def test_a_sheet_of_maps(run: Run, folder: Path) -> None:
    result = run(*SMALL)
    assert (result.code, result.err) == (0, "")
    with Image.open("sheet.png") as sheet:
        width, height = sheet.size
    assert result.out == f"The sheet is in sheet.png ({width} x {height} pixels).\n"


def test_layers_and_channels(run: Run, folder: Path) -> None:
    assert run(*SMALL, "--layers", "relu1_1", "--channels", 3).code == 0
    with Image.open("sheet.png") as sheet:
        short = sheet.height
    assert run(*SMALL, "--layers", "relu2_1,relu1_1", "--channels", 3, "--force").code == 0
    with Image.open("sheet.png") as sheet:
        two = sheet.height
    assert run(*SMALL, "--layers", "relu1_1", "--channels", 20, "--force").code == 0
    with Image.open("sheet.png") as sheet:
        assert short < sheet.height
    assert short < two


def test_one_channel(run: Run, folder: Path) -> None:
    assert run(*SMALL, "--channel", "relu2_1:5").code == 0
    first = Path("sheet.png").read_bytes()
    assert run(*SMALL, "--channel", "relu2_1:6", "--force").code == 0
    assert Path("sheet.png").read_bytes() != first


def test_same_command_same_bytes(run: Run, folder: Path) -> None:
    assert run(*SMALL).code == 0
    first = Path("sheet.png").read_bytes()
    assert run(*SMALL, "--force").code == 0
    assert Path("sheet.png").read_bytes() == first


@pytest.mark.parametrize("ending", ["jpg", "webp", "tif"])
def test_other_kinds_of_file(run: Run, folder: Path, ending: str) -> None:
    result = run("features", "photo.png", "-o", f"sheet.{ending}", *SMALL[4:], "--layers", "relu1_1")
    assert result.code == 0, result.err
    with Image.open(f"sheet.{ending}") as sheet:
        assert sheet.width > 1000


def test_quiet(run: Run, folder: Path) -> None:
    result = run(*SMALL, "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert Path("sheet.png").is_file()


def test_auto_says_who_looked(run: Run, folder: Path) -> None:
    result = run(*BASIC, "--size", 40, "--layers", "relu1_1")
    assert result.code == 0
    assert "the compact extractor looks" in result.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--layers", "conv1"), r"--layers: 'conv1' is no layer; write for example relu1_1,relu3_1,relu5_1$"),
        (("--layers", ""), r"--layers: '' is no layer"),
        (("--layers", "relu1_1=2"), r"--layers: 'relu1_1=2' is no layer"),
        (("--layers", "relu1_1,relu1_1"), r"--layers: relu1_1 stands there twice"),
        (("--layers", "relu3_4"), r"relu3_4: the extractor 'compact' has no such layer"),
        (("--channel", "relu4_1"), r"--channel: 'relu4_1' is no channel; write for example relu4_1:123$"),
        (("--channel", "relu4_1:-1"), r"--channel: 'relu4_1:-1' is no channel"),
        (("--channel", "relu1_1:9999"), r"--channel: relu1_1 of 'compact' has channels 0 to \d+; 9999 is none"),
        (("--channel", "relu1_1:1", "--layers", "relu1_1"), r"--channel draws that one channel"),
        (("--channel", "relu1_1:1", "--channels", "3"), r"--channel draws that one channel"),
        (("--channels", "0"), r"--channels: 0 is out of range; give a whole number from 1 up$"),
        (("--size", "8"), r"--size: at 8 x 6 px nothing is left of the picture at relu5_1, which takes 16 px"),
        (("--extractor", "vgg16"), r"--extractor: 'vgg16' is neither a file nor one of auto, compact, vgg19$"),
        (("--extractor", "vgg19"), r"impasto weights get vgg19"),
        (("--max-pixels", "10"), r"--max-pixels"),
        (("-o", "sheet.bmp"), r"sheet\.bmp"),
        (("-o", "nowhere/sheet.png"), r"nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    run: Run, folder: Path, options: tuple[str, ...], message: str
) -> None:
    before = sorted(Path().rglob("*"))
    result = run(*SMALL, *options)
    assert result.code == 2
    assert re.search(message, result.error), result.error
    assert sorted(Path().rglob("*")) == before


def test_pictures_that_are_not_there(run: Run, folder: Path) -> None:
    result = run("features", "gone.png", "-o", "sheet.png")
    assert (result.code, result.error) == (2, "impasto: error: gone.png is not there; check the name")


def test_an_existing_sheet_is_kept(run: Run, folder: Path) -> None:
    Path("sheet.png").write_text("precious")
    result = run(*SMALL)
    assert result.code == 2
    assert "--force" in result.error
    assert Path("sheet.png").read_text() == "precious"


def test_help(run: Run) -> None:
    result = run("features", "--help")
    assert result.code == 0
    assert "--channel" in result.out


def test_with_the_real_weights(run: Run, folder: Path, shared: Path) -> None:
    weights = (shared / "weights" / "vgg19-caffe.safetensors").resolve()
    if not weights.is_file():
        pytest.skip("VGG-19's weights are not in the folder 'shared'")
    result = run(*BASIC, "--extractor", weights, "--size", 40, "--threads", 1, "--channel", "relu4_1:123")
    assert result.code == 0, result.err
    assert Path("sheet.png").is_file()
