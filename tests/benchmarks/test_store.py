from __future__ import annotations

import json
from pathlib import Path

import pytest

from store import Store

ABOUT = {"machine": {"cpu": "Test", "threads": 2}, "torch": "2.13"}


def test_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = Store(tmp_path / "results.json", ABOUT)
    first.add("step/512/vgg19", {"seconds": 1.0})
    first.add("step/512/vgg19", {"seconds": 2.0})
    again = Store(tmp_path / "results.json", ABOUT)
    assert [record["seconds"] for record in again.get("step/512/vgg19")] == [1.0, 2.0]
    assert again.get("step/512/compact") == []


def test_on_the_disk_after_each(tmp_path: Path) -> None:
    store = Store(tmp_path / "results.json", ABOUT)
    store.add("limits", {"gflops": 1})
    assert json.loads(store.path.read_text()) == {"about": ABOUT, "records": {"limits": [{"gflops": 1}]}}
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_another_machine_does_not_belong_beside_them(tmp_path: Path) -> None:
    Store(tmp_path / "results.json", ABOUT).add("limits", {})
    with pytest.raises(SystemExit, match=r"another torch: 2\.13, and not 2\.14"):
        Store(tmp_path / "results.json", {**ABOUT, "torch": "2.14"})


def test_drop(tmp_path: Path) -> None:
    store = Store(tmp_path / "results.json", ABOUT)
    for key in ("step/512/vgg19", "step/256/vgg19", "steps/1", "limits"):
        store.add(key, {})
    store.drop("step")
    store.drop("limits")
    assert list(store.records) == ["steps/1"]


def test_under(tmp_path: Path) -> None:
    store = Store(tmp_path / "results.json", ABOUT)
    store.add("step/512/vgg19", {"seconds": 1})
    store.add("step/5120/vgg19", {"seconds": 2})
    assert store.under("step", 512) == {"vgg19": [{"seconds": 1}]}
