from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import busy
from impasto.openmp import VARIABLES


def test_the_variables_are_impastos() -> None:
    assert busy.VARIABLES == VARIABLES


def test_every_way_idle_and_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second of three runs is a slow one, and counts no more than the others."""
    asked: list[dict[str, str]] = []
    loops: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def process(*arguments: Any, **keywords: Any) -> Any:
        loops.append(start(*arguments, **keywords))
        return loops[-1]

    def measure(command: list[Any], *, threads: int, environment: dict[str, str]) -> Any:
        assert not set(VARIABLES) & set(os.environ)
        asked.append(environment)
        Path(command[command.index("-o") + 1]).write_bytes(b"picture")
        working = [loop for loop in loops if loop.poll() is None]
        return SimpleNamespace(seconds=(99 if 6 < len(asked) <= 12 else 1) + len(environment) + 10 * len(working))

    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    monkeypatch.setattr(subprocess, "Popen", process)
    monkeypatch.setattr(busy, "measure", measure)
    busy.main(["--size", "48", "--out", str(tmp_path / "out")])
    assert asked == [{}, {}, {"KMP_LIBRARY": "throughput"}, {"KMP_LIBRARY": "throughput"}, *asked[4:6]] * 3
    assert asked[4] == {"OMP_WAIT_POLICY": "passive"}
    assert len(loops) == 9
    assert all(loop.poll() is not None for loop in loops)
    assert capsys.readouterr().out.splitlines() == [
        "| 48 px, threads | idle | beside a busy process |",
        "| --- | --- | --- |",
        "| spin briefly, as impasto has it | 1.0 | 11.0 |",
        "| spin as OpenMP has it | 2.0 | 12.0 |",
        "| do not spin | 2.0 | 12.0 |",
        "",
        "The pictures have the same bytes.",
    ]


def test_further_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def measure(command: list[Any], *, threads: int, environment: dict[str, str]) -> Any:
        Path(command[command.index("-o") + 1]).write_text(repr(environment))
        return SimpleNamespace(seconds=int(environment.get("GOMP_SPINCOUNT", 0)))

    monkeypatch.setattr(busy, "measure", measure)
    busy.main(["--out", str(tmp_path), "--repeats", "1", "--spins", "300", "1000"])
    said = capsys.readouterr().out.splitlines()
    assert said[-4:-2] == ["| spin 300 turns | 300.0 | 300.0 |", "| spin 1000 turns | 1000.0 | 1000.0 |"]
    assert said[-1] == "The pictures differ."


@pytest.mark.parametrize("way", busy.WAYS)
def test_what_impasto_makes_of_a_way(way: str) -> None:
    """It sets its variables in the first, and none beside those of the others."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES} | busy.WAYS[way]
    code = "import impasto.openmp; print(impasto.openmp.POLICY)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert ("set by impasto" in told.stdout) == (busy.WAYS[way] == {})
