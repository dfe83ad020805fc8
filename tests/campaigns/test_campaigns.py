"""The campaigns, small. By hand they run large: docs/reliability.md says how, and what came of it."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("processes that are killed, as Linux has them", allow_module_level=True)
for needed in ("lightning_fabric", "torchmetrics", "onnx", "onnxruntime"):
    pytest.importorskip(needed)

from . import faults, hostile, kills  # noqa: E402
from .ground import Ended, make_ground  # noqa: E402


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ground(tmp_path_factory.mktemp("ground"))


@pytest.mark.parametrize("name", ["lbfgs", "attributes"])
def test_kills(ground: Path, name: str) -> None:
    tally = kills.campaign(ground, name, 2, random.Random(1))
    assert tally.clean, tally
    assert tally.kills >= 2


@pytest.mark.parametrize("kind", list(faults.KINDS))
def test_faults(tmp_path: Path, kind: str) -> None:
    assert faults.campaign(tmp_path, 1, random.Random(1), kind) == []


@pytest.mark.parametrize("kind", list(hostile.KINDS))
def test_hostile(tmp_path: Path, kind: str) -> None:
    tally, bad = hostile.campaign(tmp_path, 4, random.Random(1), [kind])
    assert bad == []
    assert tally["refused"] > 0


@pytest.mark.parametrize(
    ("ended", "problem"),
    [
        (Ended(1, "impasto: failed: KeyError: 'x'\n", 1.0, 1), "exit code 1"),
        (Ended(2, "Traceback (most recent call last):\n", 1.0, 1), "exit code 2"),
        (Ended(2, "impasto: error: one\nimpasto: error: two\n", 1.0, 1), "exit code 2"),
        (Ended(2, "impasto: error: \x1b[2J\n", 1.0, 1), "control characters"),
        (Ended(2, "impasto: error: one\n", 60.0, 1), "60 s"),
        (Ended(2, "impasto: error: one\n", 1.0, 3 * 10**9), "3.0 GB"),
        (Ended(-9, "", 1.0, 1), "exit code -9"),
    ],
)
def test_what_the_campaign_calls_wrong(ended: Ended, problem: str) -> None:
    assert problem in hostile.wrong(ended, {}, {})
    fine = Ended(2, "impasto: a notice\nimpasto: error: one\n", 1.0, 1)
    assert hostile.wrong(fine, {}, {}) == ""
    assert hostile.wrong(fine, {}, {".impasto-1.part": b""}) == ".impasto-1.part is left"
