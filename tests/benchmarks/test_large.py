from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import large


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Two pictures, and the arguments that name them."""
    for name, size in (("photo.png", (40, 30)), ("painting.png", (20, 50))):
        Image.new("RGB", size, "teal").save(tmp_path / name)
    pictures = ["--content", str(tmp_path / "photo.png"), "--style", str(tmp_path / "painting.png")]
    return [*pictures, "--sizes", "compact=2048,512,8192,4096", "--out", str(tmp_path / "out")]


@pytest.fixture
def measured(command: list[str], monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str, list[str]]]:
    """Runs ``large.py`` with a program that answers at once; what it was asked."""
    asked: list[tuple[int, str, list[str]]] = []

    def stylize(content: Path, style: Path, output: Path, **how: Any) -> dict[str, object]:
        with Image.open(content) as photograph, Image.open(style) as painting:
            assert photograph.width == photograph.height
            assert painting.width == painting.height
        size, options = how["size"], list(how["options"])
        asked.append((size, how["extractor"], options))
        tiles = size > 512 and "--max-memory" in options
        settings = {"precision": "fp32", **({"max_memory": 2**31} if tiles else {})}
        return {
            "size": size,
            "seconds_a_step": size**2 * (1.5e-6 if tiles else 1e-6),
            "peak_mb": 2500.0 if tiles else 500 + size,
            "result": {"settings": settings},
        }

    class Interpreter:
        peak_mb = 300.0

    monkeypatch.setattr(large, "stylize", stylize)
    monkeypatch.setattr(large, "measure", lambda *_, **__: Interpreter())
    large.main(command)
    return asked


def test_small_pictures_first_and_one_without_the_limit(measured: list[tuple[int, str, list[str]]]) -> None:
    limit = ["--max-memory", "2G"]
    assert measured == [
        (512, "compact", ["--steps", "3", *limit]),
        (1024, "compact", ["--steps", "3"]),
        (2048, "compact", ["--steps", "3", *limit]),
        (4096, "compact", ["--steps", "2", *limit]),
        (8192, "compact", ["--steps", "2", "--max-pixels", "67108864", "--max-memory", "3.6G"]),
    ]


def test_table_and_plot(measured: list[tuple[int, str, list[str]]], tmp_path: Path) -> None:
    lines = (tmp_path / "out" / "table.md").read_text().splitlines()
    assert lines[2:] == [
        "| 512 px | impasto, compact |  | 0.262 | 1.00 | 1.00 | 712 |",
        "| 2048 px | impasto, compact | yes | 6.29 | 1.50 | 1.50 | 2200 |",
        "| 4096 px | impasto, compact | yes | 25.2 | 1.50 | 1.50 | 2200 |",
        "| 8192 px | impasto, compact | yes | 101 | 1.50 | 1.50 | 2200 |",
    ]
    with Image.open(tmp_path / "out" / "plot.webp") as plot:
        assert plot.width > 500


def test_goes_on_where_it_stopped(measured: list[tuple[int, str, list[str]]], command: list[str]) -> None:
    done = len(measured)
    large.main(command)
    assert len(measured) == done


def test_an_unknown_extractor() -> None:
    with pytest.raises(SystemExit, match=r"^--sizes: resnet is none of vgg19, compact$"):
        large.main(["--sizes", "resnet=512"])
