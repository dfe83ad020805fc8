from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import onepass
import runner


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Two pictures, and the arguments that name them."""
    for name, size in (("photo.png", (80, 60)), ("painting.png", (60, 90))):
        Image.radial_gradient("L").resize(size).convert("RGB").save(tmp_path / name)
    pictures = ["--content", str(tmp_path / "photo.png"), "--style", str(tmp_path / "painting.png")]
    return [*pictures, "--threads", "1", "--out", str(tmp_path / "out")]


def test_a_picture_without_steps_is_measured(tmp_path: Path, command: list[str]) -> None:
    told = runner.stylize(
        tmp_path / "photo.png",
        tmp_path / "painting.png",
        tmp_path / "picture.png",
        size=48,
        threads=1,
        options=["--method", "instant"],
    )
    assert "steps" not in told
    assert "seconds_a_step" not in told
    assert told["result"]["width"] == 48
    assert told["peak_mb"] > 100
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.size == (48, 36)


def test_memory_and_hybrid_by_processes_and_once(
    tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, str | None, list[str]]] = []

    def stylize(content: Path, style: Path, output: Path, **how: Any) -> dict[str, object]:
        asked.append((how["size"], how.get("extractor"), list(how["options"])))
        hybrid = "hybrid" in how["options"]
        seconds = (8.0, 30.0, 9.0)[len(asked) % 3] if hybrid else 20.0
        result = {"losses": {"total": 0.06 if hybrid else 0.04}}
        return {"seconds": seconds, "peak_mb": 2500.0, "steps": 40, "result": result}

    monkeypatch.setattr(onepass, "stylize", stylize)
    for _ in range(2):
        onepass.main([*command, "--only", "hybrid,memory"])
    instant = ["--method", "instant", "--max-pixels", str(8192**2)]
    refined = (512, "compact", [])
    hybrid = (512, "compact", ["--method", "hybrid"])
    assert asked == [(8192, None, instant), *[refined, hybrid] * 3]
    assert (tmp_path / "out" / "table.md").read_text().splitlines()[2:] == [
        "| 8192 × 8192 px | 20 s, 2500 MB |",
        "| refinement, 512 px | 20.0 s, loss 0.0400, 40 steps |",
        "| hybrid, 512 px | 9.0 s, loss 0.0600, 40 steps |",
    ]


def test_time_of_both_runtimes(command: list[str]) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    found = onepass.measure_time(onepass.parse([*command, "--size", "64"]))
    assert found["pixels"] == [64, 48]
    assert found["torch"] > 0
    assert found["onnx"] > 0


def test_an_unknown_part(command: list[str]) -> None:
    with pytest.raises(SystemExit, match="--only: beauty is none of memory, hybrid, time, tiles"):
        onepass.parse([*command, "--only", "time,beauty"])
