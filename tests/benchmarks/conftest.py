"""The benchmarks are scripts beside the package: their folder is where they look for each other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

Record = dict[str, Any]

#: Style share and content error of the peers' pictures.
MARKS = {"neural-style": (0.14, 0.40), "pystiche": (0.09, 0.45)}
#: Seconds a step at 512 px.
PACE = {"neural-style": 3.0, "pystiche": 4.0, "vgg19": 2.0, "vgg19-fp32": 2.4, "compact": 0.5}


class FakeBench:
    """Programs that answer at once; style share falls with the steps, and λ moves both figures.

    Attributes:
        names: the programs that are here.
        failing: what the records of a peer's picture say instead.
        patience: runs until Ctrl-C.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.asked: list[str] = []
        self.names = list(PACE)
        self.failing: dict[str, Record] = {}
        self.patience = 1000

    def programs(self, fast_bf16: bool) -> list[str]:
        return [name for name in self.names if fast_bf16 or name != "vgg19-fp32"]

    def peers(self) -> list[str]:
        return [name for name in MARKS if name in self.names]

    def limits(self, quick: bool) -> Record:
        return {"fast_bf16": True, "gflops": {"fp32": 150.0, "bf16": 380.0}, "copy_gb_s": 20.0}

    def steps(self, program: str, size: int, count: int) -> Record:
        if len(self.asked) == self.patience:
            raise KeyboardInterrupt
        self.asked.append(f"{count} steps {program} {size}")
        pace = PACE[program] * (size / 512) ** 2
        return {
            "steps": count,
            "seconds": 10 + count * pace,
            "picture_seconds": 9 + count * pace,
            "startup_seconds": 5.0,
            "seconds_a_step": pace,
            "peak_mb": 1000.0 * (size / 512) ** 2,
            "width": size,
            "height": size,
            "losses": {"1": 1.0},
            **({} if program in MARKS else {"precision": "bf16" if program == "vgg19" else "fp32"}),
        }

    def peer_picture(self, peer: str, size: int, steps: int) -> Record:
        style_share, content_error = MARKS[peer]
        judged = {"style_share": style_share, "content_error": content_error}
        return {**self.steps(peer, size, steps), **judged, **self.failing.get(peer, {})}

    def painting(
        self, ours: str, size: int, name: str, *, steps: int | None = None, weight: float | None = None
    ) -> Record:
        self.asked.append(f"{name} {steps}")
        steps, weight = steps or 200, weight or 1e-3
        seconds = 4 + steps * PACE[ours] / 5
        return {
            "steps": steps,
            "content_weight": weight,
            "seconds": seconds,
            "peak_mb": 800.0 * (size / 512) ** 2,
            "precision": "fp32",
            "style_share": (0.02 + 3 / steps) * (weight / 1e-3) ** 0.5,
            "content_error": 0.45 * (weight / 1e-3) ** -0.7,
        }

    def judged(self, picture: Path) -> Record:
        return {"style_share": 0.15, "content_error": 0.39}


@pytest.fixture
def bench(tmp_path: Path) -> FakeBench:
    return FakeBench(tmp_path)


@pytest.fixture
def session(bench: FakeBench, tmp_path: Path) -> Callable[..., Any]:
    """Makes a session over the fake programs: ``session("step", options=[…])``; all share one results.json."""
    from bench import parse
    from session import Session
    from store import Store

    def make(*only: str, options: Sequence[str] = ()) -> Any:
        chosen = ["--only", ",".join(only)] if only else []
        about = {
            "machine": {"cpu": "Test", "cores": 2, "threads": 2},
            "torch": "2.13",
            "content": {"name": "photo", "sha256": "a"},
            "style": {"name": "painting", "sha256": "b"},
        }
        return Session(
            parse(["--out", str(tmp_path), *chosen, *options]), bench, Store(tmp_path / "results.json", about)
        )

    return make
