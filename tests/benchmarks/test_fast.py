from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fast


def test_three_of_every_eight_or_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("contents", "styles"):
        (tmp_path / kind).mkdir()
        for name in "abcdefgh":
            (tmp_path / kind / f"{name}.jpg").touch()
    monkeypatch.setattr(fast, "CLASSICS", tmp_path)
    few, every = fast.pairs(24), fast.pairs(64)
    assert len(set(few)) == 24
    assert all(sum(pair[place].stem == name for pair in few) == 3 for place in (0, 1) for name in "abcdefgh")
    assert len(set(every)) == 64


def test_a_mesh_of_two_pixels_is_a_comb(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(100, 156, (64, 64))
    mesh = noise + 20 * (-1) ** np.arange(64)[None, :]
    for name, gray in (("noise", noise), ("mesh", mesh)):
        Image.fromarray(gray.astype(np.uint8)).convert("RGB").save(tmp_path / f"{name}.png")
    style = tmp_path / "noise.png"
    assert fast.comb(style, style) == pytest.approx(1)
    assert fast.comb(tmp_path / "mesh.png", style) > 5


def test_the_report_is_of_medians_and_worst() -> None:
    found = {"base": {str(n): {"style_share": n / 10, "content_error": 1.0, "comb": 2.0} for n in (1, 2, 6)}}
    last = fast.report(found).splitlines()[-1]
    assert "0.200" in last
    assert "0.600" in last
