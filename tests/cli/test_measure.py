from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from impasto import measurement

from .conftest import Run

BASIC = ("measure", "photo.png", "--content", "photo.png", "--style", "painting.png")
#: VGG-19's weights, which tests do without.
COMPACT = (*BASIC, "--extractor", "compact")


def test_a_line_each(run: Run, folder: Path) -> None:
    result = run(*COMPACT)
    assert result.code == 0
    found = measurement.measure("photo.png", "photo.png", ["painting.png"], extractor="compact")
    assert result.out.splitlines() == [
        f"content loss   {found.content_loss:.6g}",
        f"style loss     {found.style_loss:.6g}",
        f"total loss     {found.total_loss:.6g}",
        f"style share    {found.style_share:.6g}",
        f"content error  {found.content_error:.6g}",
        f"leak           {found.leak:.6g}",
        f"chroma noise   {found.chroma_noise:.6g}",
        f"SSIM           {found.ssim:.6g}",
    ]
    assert result.err == "impasto: measured with compact; figures of VGG-19 are the ones that count\n"


def test_json(run: Run, folder: Path) -> None:
    result = run(*COMPACT, "--json")
    found = measurement.measure("photo.png", "photo.png", ["painting.png"], extractor="compact")
    assert json.loads(result.out) == {"output": "photo.png", **asdict(found)}
    assert result.err == ""


def test_options_arrive(run: Run, folder: Path) -> None:
    options = "--style photo.png --style-weights 0.7,0.3 --content-weight 0.1 --json"
    result = run(*COMPACT, *options.split())
    assert result.code == 0, result.err
    found = measurement.measure(
        "photo.png",
        "photo.png",
        ["painting.png", "photo.png"],
        style_weights=(0.7, 0.3),
        content_weight=0.1,
        extractor="compact",
    )
    assert json.loads(result.out) == {"output": "photo.png", **asdict(found)}
    assert (
        found.style_loss
        != measurement.measure("photo.png", "photo.png", ["painting.png", "photo.png"], extractor="compact").style_loss
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--style", "gone.png"), "gone.png is not there; check the name"),
        (("--extractor", "vgg16"), "--extractor: 'vgg16' is neither a file nor one of auto, compact, vgg19"),
        (("--content-weight", "-1"), "--content-weight: -1.0 is out of range; give a number from 0 up"),
        (("--style-weights", "1,2"), "--style-weights: 2 weights for 1 paintings"),
        (("--max-pixels", "700"), "--max-pixels"),
        (("--threads", "0"), "--threads: 0 is out of range"),
    ],
)
def test_mistakes(run: Run, folder: Path, options: tuple[str, ...], message: str) -> None:
    result = run(*COMPACT, *options)
    assert result.code == 2
    assert message in result.error


def test_vgg19_that_is_not_here(run: Run, folder: Path) -> None:
    """It is asked for unless another is."""
    result = run(*BASIC)
    assert result.code == 2
    assert "impasto weights get vgg19" in result.error


def test_the_photograph_is_its_own_content(run: Run, folder: Path) -> None:
    figures = json.loads(run(*COMPACT, "--json").out)
    assert figures["content_loss"] == figures["content_error"] == 0
    assert figures["style_share"] == pytest.approx(1)
    assert figures["ssim"] == pytest.approx(1)
    assert figures["style_loss"] > 0
    assert figures["extractor"] == "compact"


def test_with_the_real_weights(run: Run, folder: Path, shared: Path) -> None:
    weights = (shared / "weights" / "vgg19-caffe.safetensors").resolve()
    if not weights.is_file():
        pytest.skip("VGG-19's weights are not in the folder 'shared'")
    Path("home").mkdir()
    Path("home/vgg19.safetensors").symlink_to(weights)
    result = run(*BASIC, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)["extractor"] == "vgg19"
