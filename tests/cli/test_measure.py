from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from impasto import measurement
from impasto.measurement import Measurement

from .conftest import Run

BASIC = ("measure", "photo.png", "--content", "photo.png", "--style", "painting.png")
MEASURED = Measurement(0.25, 0.125, 0.12525, 0.0312345678, 0.25, 0.75, "vgg19")


@pytest.fixture
def asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stands in for impasto.measure; remembers what it was called with."""
    asked: list[dict[str, Any]] = []

    def measure(output: str, content: str, styles: list[str], **keywords: Any) -> Measurement:
        asked.append({"output": output, "content": content, "styles": styles, **keywords})
        return MEASURED

    monkeypatch.setattr(measurement, "measure", measure)
    return asked


def test_a_line_each(run: Run, asked: list[dict[str, Any]]) -> None:
    result = run(*BASIC)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "content loss   0.25",
        "style loss     0.125",
        "total loss     0.12525",
        "style share    0.0312346",
        "content error  0.25",
        "SSIM           0.75",
    ]
    assert asked == [
        {
            "output": "photo.png",
            "content": "photo.png",
            "styles": ["painting.png"],
            "style_weights": None,
            "content_weight": 1e-3,
            "extractor": "vgg19",
            "max_pixels": 64_000_000,
        }
    ]


def test_json(run: Run, asked: list[dict[str, Any]]) -> None:
    result = run(*BASIC, "--json")
    assert json.loads(result.out) == {"output": "photo.png", **asdict(MEASURED)}


def test_options_arrive(run: Run, asked: list[dict[str, Any]]) -> None:
    options = "--style photo.png --style-weights 0.7,0.3 --content-weight 0.1 --extractor compact --max-pixels 800"
    assert run(*BASIC, *options.split()).code == 0
    assert asked[0]["styles"] == ["painting.png", "photo.png"]
    assert asked[0]["style_weights"] == (0.7, 0.3)
    assert asked[0]["content_weight"] == 0.1
    assert asked[0]["extractor"] == "compact"
    assert asked[0]["max_pixels"] == 800


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--style", "gone.png"), "gone.png is not there"),
        (("--extractor", "vgg16"), "--extractor: 'vgg16' is neither a file nor one of vgg19, compact, auto"),
        (("--content-weight", "-1"), "'--content-weight'"),
    ],
)
def test_mistakes(run: Run, asked: list[dict[str, Any]], options: tuple[str, ...], message: str) -> None:
    result = run(*BASIC, *options)
    assert result.code == 2
    assert message in result.error
    assert asked == []


def test_vgg19_that_is_not_here(run: Run, folder: Path) -> None:
    result = run(*BASIC)
    assert result.code == 2
    assert "impasto weights get vgg19" in result.error


def test_for_real_the_photograph_is_its_own_content(run: Run, folder: Path) -> None:
    result = run(*BASIC, "--extractor", "compact", "--json")
    assert result.code == 0, result.err
    figures = json.loads(result.out)
    assert figures["content_loss"] == figures["content_error"] == 0
    assert figures["style_share"] == pytest.approx(1)
    assert figures["ssim"] == pytest.approx(1)
    assert figures["style_loss"] > 0
    assert figures["extractor"] == "compact"


def test_another_extractor_is_said(run: Run, folder: Path) -> None:
    result = run(*BASIC, "--extractor", "compact")
    assert result.err == "impasto: measured with compact; figures of VGG-19 are the ones that count\n"
